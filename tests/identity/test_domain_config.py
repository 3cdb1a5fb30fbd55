"""A domain's configuration: whole, by group, by option; its defaults; what is never shown."""

from .conftest import Client

CONFIG = {
    "ldap": {"url": "ldap://x", "user_tree_dn": "ou=u", "password": "p"},
    "identity": {"driver": "ldap"},
}


async def test_set_shown_changed_and_deleted(admin: Client) -> None:
    domain = (await admin.make("domains", name="d"))["id"]
    base = f"/v3/domains/{domain}/config"
    assert (await admin.get(base)).status_code == 404
    made = await admin.put(base, json={"config": CONFIG})
    shown = {"ldap": {"url": "ldap://x", "user_tree_dn": "ou=u"}, "identity": {"driver": "ldap"}}
    assert (made.status_code, made.json()) == (201, {"config": shown})
    assert (await admin.get(base)).json() == {"config": shown}
    assert (await admin.get(f"{base}/ldap")).json() == {"config": {"ldap": shown["ldap"]}}
    assert (await admin.get(f"{base}/ldap/url")).json() == {"config": {"url": "ldap://x"}}
    assert (await admin.get(f"{base}/ldap/password")).status_code == 404
    changed = {"config": {"url": "ldap://y"}}
    assert (await admin.patch(f"{base}/ldap/url", json=changed)).json()["config"]["ldap"]["url"] == "ldap://y"
    assert (await admin.patch(f"{base}/ldap/user", json=changed)).status_code == 403  # names another option
    assert (await admin.patch(f"{base}/identity", json=changed)).status_code == 403
    assert (await admin.delete(f"{base}/ldap/url")).status_code == 204
    assert (await admin.get(f"{base}/ldap/url")).status_code == 404
    assert (await admin.put(base, json={"config": {"identity": {"driver": "sql"}}})).status_code == 200
    assert (await admin.get(base)).json() == {"config": {"identity": {"driver": "sql"}}}
    assert (await admin.delete(base)).status_code == 204
    assert (await admin.get(base)).status_code == 404


async def test_only_options_that_there_are(admin: Client) -> None:
    base = "/v3/domains/default/config"
    configs: list[dict[str, object]] = [
        {},
        {"odd": {"x": 1}},
        {"ldap": {"odd": 1}},
        {"ldap": {}},
        {"ldap": 7},
    ]
    for config in configs:
        assert (await admin.put(base, json={"config": config})).status_code == 403, config
    assert (await admin.put(base, json={})).status_code == 400
    assert (await admin.put("/v3/domains/absent/config", json={"config": CONFIG})).status_code == 404


async def test_defaults(admin: Client) -> None:
    every = (await admin.get("/v3/domains/config/default")).json()["config"]
    assert every["identity"]["driver"] == "sql"
    assert (await admin.get("/v3/domains/config/ldap/default")).json()["config"] == {"ldap": every["ldap"]}
    assert (await admin.get("/v3/domains/config/ldap/query_scope/default")).json() == {
        "config": {"query_scope": "one"}
    }
    assert (await admin.get("/v3/domains/config/odd/default")).status_code == 403
    assert (await admin.get("/v3/domains/config/ldap/password/default")).status_code == 403


async def test_what_passwords_look_like_anybody_may_know(admin: Client) -> None:
    reader = await admin.persona("reader", f"projects/{(await admin.make('projects', name='p'))['id']}")
    base = "domains/default/config/security_compliance"
    assert (await reader.request("GET", base)).json()["config"]["security_compliance"].keys() == {
        "password_regex",
        "password_regex_description",
    }
    assert await reader.status("GET", f"{base}/password_regex") == 200
    assert await reader.status("GET", f"{base}/lockout_duration") == 403
    assert await reader.status("GET", "domains/default/config/ldap") == 403
