"""Whatever a client sends, identity has a word for it, and a refusal changes nothing."""

from pathlib import Path

from tests.odd_requests import Generator, Tables, play

from .conftest import Client, on

# Refused log-ins are counted, and that is what brute force is slowed with.
COUNTED = ("identity_users", "identity_revocations")
KINDS = ("domains", "projects", "users", "groups", "roles", "regions", "services")


async def test_odd_requests(admin: Client, tmp_path: Path) -> None:
    service = admin.house.services["identity"]
    generator = Generator(service)
    for kind in KINDS:
        for name in ("one", "two"):
            values = (
                {"type": name}
                if kind == "services"
                else {"id": name}
                if kind == "regions"
                else {"name": name}
            )
            generator.pool.learn({kind.removesuffix("s"): await admin.make(kind, **values)})
    generator.pool.ids |= {
        "target_id": generator.pool.ids["project_id"] + generator.pool.ids["domain_id"],
        "actor_id": generator.pool.ids["user_id"] + generator.pool.ids["group_id"],
    }
    for alias, name in (("idp_id", "identity_provider_id"), ("sp_id", "service_provider_id")):
        generator.pool.ids[alias] = generator.pool.ids.setdefault(name, [])
    for alias in ("prior_role_id", "implied_role_id"):
        generator.pool.ids[alias] = generator.pool.ids["role_id"]
    project = generator.pool.ids["project_id"][0]
    member = await admin.persona("member", f"projects/{project}")
    manager = await admin.persona("manager", "domains/default")
    generator.pool.add("user_id", member.id)
    token = await admin.become("admin", "first", on("admin"))
    people = [{"x-auth-token": one} for one in (token, member.token, manager.token)]
    tables = Tables(tmp_path / "identity.sqlite", service, ignored=COUNTED)
    admin.base_url = "http://cloud.test"
    met = await play(admin, generator, people, tables)
    tables.close()
    assert met[200] > 10
    assert sum(count for status, count in met.items() if status < 300) > 20, met
