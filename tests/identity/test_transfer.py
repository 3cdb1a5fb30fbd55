"""Moving users, roles and projects in a file: ids and hashes are kept, and a bad file changes nothing."""

from typing import Any

import msgspec
import pytest

from aerostat.kernel.db import Store
from aerostat.services.identity import model
from aerostat.services.identity.transfer import written
from aerostat.services.identity.transfer_in import Outcome, Refused, read, take_in

from .conftest import Client, password_auth

HASH = "$2b$04$4S4yCxqRzV2aGbXiFOJlkuRZvzrlZ8s3Y3aRwwrWvBSEE.Ki2Pu7i"
FILE: dict[str, Any] = {
    "version": 1,
    "domains": [{"id": "d1", "name": "Far"}],
    "roles": [{"id": "r1", "name": "pilot", "implies": ["reader"]}],
    "projects": [
        {"name": "inner", "domain": "Far", "parent": "p1"},
        {"id": "p1", "name": "outer", "domain": "d1", "description": "first"},
    ],
    "users": [
        {
            "id": "u1",
            "name": "amelia",
            "domain": "Far",
            "password_hash": HASH,
            "default_project": "outer",
            "options": {"lock_password": True},
        }
    ],
    "groups": [{"name": "crew", "domain": "Far", "members": ["amelia"]}],
    "assignments": [
        {"role": "pilot", "user": "amelia", "project": "p1"},
        {"role": "reader", "group": "crew", "domain": "Far", "inherited": True},
        {"role": "reader", "user": "u1", "system": True},
    ],
}


async def rows(store: Store) -> dict[str, Any]:
    return {
        table.name: sorted(map(str, await store.all(table)))
        for table in model.TABLES.sorted_tables
        if table is not model.TOKEN_KEYS
    }


async def test_users_come_with_their_passwords_and_roles(admin: Client) -> None:
    hashed = (await admin.house.store.get(model.USERS, name="demo")).password_hash
    file = msgspec.json.decode(msgspec.json.encode(FILE))
    file["users"][0]["password_hash"] = hashed
    outcome = await take_in(admin.house.store, read(file))
    assert outcome == Outcome(made=11, changed=0, same=0)
    answer = await admin.post("/v3/auth/tokens", json=password_auth("u1", "second"))
    assert answer.status_code == 201, answer.text
    token = answer.json()["token"]
    assert token["project"]["id"] == "p1"
    assert {role["name"] for role in token["roles"]} == {"pilot", "reader"}
    inner = await admin.house.store.get(model.PROJECTS, name="inner")
    assert inner.parent_id == "p1"


async def test_a_file_may_be_taken_in_twice(admin: Client) -> None:
    store = admin.house.store
    await take_in(store, read(FILE))
    before = await rows(store)
    assert await take_in(store, read(FILE)) == Outcome(made=0, changed=0, same=11)
    assert await rows(store) == before


async def test_what_is_written_can_be_taken_in(admin: Client) -> None:
    store = admin.house.store
    await take_in(store, read(FILE))
    document = msgspec.json.decode(msgspec.json.encode(await written(store)))
    outcome = await take_in(store, read(document))
    assert (outcome.made, outcome.changed) == (0, 0)
    assert HASH in str(document)
    # Into an empty place, the same comes out again.
    for table in reversed(model.TABLES.sorted_tables):
        if table is not model.TOKEN_KEYS:
            for row in await store.all(table):
                await store.delete(table, **{key.name: row[key.name] for key in table.primary_key})
    await take_in(store, read(document))
    assert msgspec.json.decode(msgspec.json.encode(await written(store))) == document


async def test_things_that_are_here_by_name_keep_their_ids(admin: Client) -> None:
    """Roles of another cloud have other ids; what the file says of them counts for ours."""
    store = admin.house.store
    ours = await store.get(model.ROLES, name="member")
    file = {
        "version": 1,
        "roles": [{"id": "theirs", "name": "member"}],
        "users": [{"id": "u1", "name": "amelia", "domain": "Default"}],
        "assignments": [{"role": "theirs", "user": "u1", "project": "demo"}],
    }
    await take_in(store, read(file))
    assert await store.find(model.ROLES, id="theirs") is None
    assert (await store.get(model.ASSIGNMENTS, actor_id="u1")).role_id == ours.id
    assert (await store.get(model.ROLES, id=ours.id)).options == {"immutable": True}


async def test_a_changed_password_ends_tokens(admin: Client) -> None:
    token = await admin.become("demo", "second")
    demo = await admin.house.store.get(model.USERS, name="demo")
    user = {"id": demo.id, "name": "demo", "domain": "default", "password_hash": HASH}
    outcome = await take_in(admin.house.store, read({"version": 1, "users": [user]}))
    assert outcome.changed == 1
    await admin.house.state["identity"].refresh()
    assert (await admin.get("/v3/auth/projects", headers={"x-auth-token": token})).status_code == 401


async def test_a_trial_changes_nothing(admin: Client) -> None:
    before = await rows(admin.house.store)
    outcome = await take_in(admin.house.store, read(FILE), dry_run=True)
    assert outcome.made == 11
    assert await rows(admin.house.store) == before


@pytest.mark.parametrize(
    ("kind", "thing", "reason"),
    [
        ("users", {"name": "x", "domain": "Nowhere"}, r"users\[1\] \(x\): there is no domain Nowhere"),
        ("users", {"name": "x", "domain": "Far", "password_hash": "secret"}, "password_hash is none of"),
        ("users", {"name": "x", "domain": "Far", "default_project": "none"}, "there is no project none"),
        (
            "users",
            {"id": "u1", "name": "demo", "domain": "default"},
            "its id is that of amelia, its name that",
        ),
        ("users", {"id": "u1", "name": "x", "domain": "default"}, "is in another domain"),
        ("projects", {"name": "x", "domain": "default", "parent": "p1"}, "parent outer is in another domain"),
        ("domains", {"id": "p1", "name": "x"}, "projects.*taken|p1"),
        ("roles", {"name": "x", "implies": ["admin"]}, "admin cannot be implied"),
        ("roles", {"name": "x", "implies": ["absent"]}, "there is no role absent"),
        ("groups", {"name": "x", "domain": "Far", "members": ["nobody"]}, "there is no user nobody"),
        ("assignments", {"role": "reader", "user": "u1"}, r"assignments\[3\]: it needs one of"),
        (
            "assignments",
            {"role": "reader", "user": "u1", "system": True, "inherited": True},
            "nothing inherits",
        ),
    ],
)
async def test_a_bad_file_changes_nothing(admin: Client, kind: str, thing: Any, reason: str) -> None:
    before = await rows(admin.house.store)
    file = {**FILE, kind: [*FILE[kind], thing]}
    with pytest.raises(Refused, match=reason):
        await take_in(admin.house.store, read(file))
    assert await rows(admin.house.store) == before


async def test_projects_in_a_circle_are_refused(admin: Client) -> None:
    circle = [
        {"id": name, "name": name, "domain": "default", "parent": parent}
        for name, parent in (("a", "b"), ("b", "a"))
    ]
    with pytest.raises(Refused, match="in one another: "):
        await take_in(admin.house.store, read({"version": 1, "projects": circle}))


async def test_all_reasons_are_told_up_to_a_number(admin: Client) -> None:
    users = [{"name": f"u{number}", "domain": "Nowhere"} for number in range(30)]
    with pytest.raises(Refused) as refusal:
        await take_in(admin.house.store, read({"version": 1, "users": users}))
    lines = str(refusal.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 10 more"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([], "object"),
        ({}, "version"),
        ({"version": 2}, "version"),
        ({"version": 1, "people": []}, "people"),
        ({"version": 1, "users": [{"name": "x"}]}, r"`domain` - at `\$\.users\[0\]`"),
        ({"version": 1, "users": [{"name": "", "domain": "d"}]}, r"users\[0\]\.name"),
        ({"version": 1, "users": [{"name": "x", "domain": "d", "enabled": "no"}]}, "bool"),
        ({"version": 1, "projects": [{"id": "a/b", "name": "x", "domain": "d"}]}, "regex"),
    ],
)
def test_files_of_another_shape_are_refused(data: Any, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        read(data)
