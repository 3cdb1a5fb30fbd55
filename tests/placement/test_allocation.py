"""Allocations in each version's form, candidates, usages, and capacity that is never passed."""

import asyncio
import contextlib
import sqlite3
from typing import Any

import pytest
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from aerostat.kernel.ids import new_id
from aerostat.services.placement import model
from aerostat.services.placement.candidates import with_most_room

from .conftest import Api


async def test_the_forms_of_allocations_by_version(api: Api) -> None:
    id = await api.provider("one", VCPU=8)
    oldest = {"allocations": [{"resource_provider": {"uuid": id}, "resources": {"VCPU": 1}}]}
    owned = {**oldest, "project_id": "p1", "user_id": "u1"}
    present = {"allocations": {id: {"resources": {"VCPU": 3}}}, "project_id": "p1", "user_id": "u1"}
    for version, body in (("1.0", oldest), ("1.8", owned), ("1.12", present)):
        answer = await api.request("PUT", f"/allocations/{new_id()}", body, version=version)
        assert answer.status_code == 204, answer.text
    for version, body in (("1.0", owned), ("1.8", oldest), ("1.8", present), ("1.12", owned)):
        assert (
            await api.request("PUT", f"/allocations/{new_id()}", body, version=version)
        ).status_code == 400
    assert (await api.get(f"/resource_providers/{id}/usages"))["usages"] == {"VCPU": 5}


async def test_what_a_consumer_holds(api: Api) -> None:
    id, consumer = await api.provider("one", VCPU=8, MEMORY_MB=1024), new_id()
    assert (await api.claim(consumer, {id: {"VCPU": 2, "MEMORY_MB": 512}})).status_code == 204
    shown = await api.get(f"/allocations/{consumer}")
    assert shown == {
        "allocations": {id: {"resources": {"VCPU": 2, "MEMORY_MB": 512}, "generation": 2}},
        "project_id": "p1",
        "user_id": "alice",
    }
    assert set(await api.get(f"/allocations/{consumer}", version="1.11")) == {"allocations"}
    of_provider = await api.get(f"/resource_providers/{id}/allocations")
    assert of_provider["allocations"] == {consumer: {"resources": {"VCPU": 2, "MEMORY_MB": 512}}}
    assert (await api.claim(consumer, {id: {"VCPU": 1}})).status_code == 204
    assert (await api.get(f"/resource_providers/{id}/usages"))["usages"] == {"VCPU": 1, "MEMORY_MB": 0}
    assert (await api.request("DELETE", f"/resource_providers/{id}")).status_code == 409
    body = {"resource_provider_generation": 3, "inventories": {}}
    in_use = await api.request("PUT", f"/resource_providers/{id}/inventories", body)
    assert in_use.json()["errors"][0]["code"] == "placement.inventory.inuse"
    assert (await api.request("DELETE", f"/allocations/{consumer}")).status_code == 204
    assert (await api.request("DELETE", f"/allocations/{consumer}")).status_code == 404
    assert await api.get(f"/allocations/{consumer}") == {"allocations": {}}
    assert (await api.request("DELETE", f"/resource_providers/{id}")).status_code == 204


@pytest.mark.parametrize(
    ("inventory", "amount", "status"),
    [
        ({"total": 8}, 8, 204),
        ({"total": 8}, 9, 409),
        ({"total": 8}, 2**31, 409),
        ({"total": 8}, 2**70, 409),
        ({"total": 8, "reserved": 1}, 8, 409),
        ({"total": 8, "allocation_ratio": 1.5}, 12, 204),
        ({"total": 8, "allocation_ratio": 1.5}, 13, 409),
        ({"total": 8, "min_unit": 2}, 1, 409),
        ({"total": 8, "max_unit": 2}, 3, 409),
        ({"total": 8, "step_size": 2}, 3, 409),
        ({"total": 8, "step_size": 2}, 4, 204),
    ],
)
async def test_units_and_capacity(api: Api, inventory: Any, amount: int, status: int) -> None:
    id = await api.provider("one", VCPU=inventory)
    assert (await api.claim(new_id(), {id: {"VCPU": amount}})).status_code == status


@pytest.mark.parametrize(
    "allocations",
    [
        {},
        [],
        None,
        {"PROVIDER": {}},
        {"PROVIDER": {"resources": {}}},
        {"PROVIDER": {"resources": {"VCPU": 0}}},
        {"PROVIDER": {"resources": {"VCPU": -1}}},
        {"PROVIDER": {"resources": {"VCPU": "1"}}},
        {"PROVIDER": {"resources": {"vcpu": 1}}},
        {"PROVIDER": {"resources": {"WARP": 1}}},
        {"not-a-provider": {"resources": {"VCPU": 1}}},
    ],
)
async def test_odd_allocations(api: Api, allocations: Any) -> None:
    id = await api.provider("one", VCPU=8)
    if isinstance(allocations, dict):
        allocations = {id if key == "PROVIDER" else key: one for key, one in allocations.items()}
    body = {"allocations": allocations, "project_id": "p1", "user_id": "u1"}
    assert (await api.request("PUT", f"/allocations/{new_id()}", body)).status_code == 400
    assert (await api.request("PUT", "/allocations/nobody", body)).status_code == 400


async def test_of_what_a_provider_does_not_have(api: Api) -> None:
    id = await api.provider("one", VCPU=8)
    assert (await api.claim(new_id(), {id: {"DISK_GB": 1}})).status_code == 409


async def test_claims_at_once_never_pass_the_capacity(api: Api) -> None:
    id = await api.provider("one", VCPU=10)
    answers = await asyncio.gather(*(api.claim(new_id(), {id: {"VCPU": 3}}) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [204] * 3 + [409] * 9
    assert (await api.get(f"/resource_providers/{id}/usages"))["usages"] == {"VCPU": 9}


async def test_several_consumers_all_or_none(api: Api) -> None:
    id, one, two = await api.provider("one", VCPU=4), new_id(), new_id()

    def wants(amount: int) -> dict[str, Any]:
        held = {id: {"resources": {"VCPU": amount}}} if amount else {}
        return {"allocations": held, "project_id": "p1", "user_id": "u1"}

    assert (await api.request("POST", "/allocations", {one: wants(3), two: wants(3)})).status_code == 409
    assert (await api.get(f"/resource_providers/{id}/usages"))["usages"] == {"VCPU": 0}
    assert (await api.request("POST", "/allocations", {one: wants(3)})).status_code == 204
    moved = await api.request("POST", "/allocations", {one: wants(0), two: wants(4)})
    assert moved.status_code == 204
    assert (await api.get(f"/allocations/{one}"))["allocations"] == {}
    assert (await api.get(f"/allocations/{two}"))["allocations"][id]["resources"] == {"VCPU": 4}
    # The taker may be named before the giver.
    moved = await api.request("POST", "/allocations", {one: wants(4), two: wants(0)})
    assert moved.status_code == 204
    assert (await api.get(f"/resource_providers/{id}/usages"))["usages"] == {"VCPU": 4}
    moved = await api.request("POST", "/allocations", {two: wants(4), one: wants(0)})
    assert moved.status_code == 204
    for odd in (None, {}, [], {"x": wants(1)}, {one: {}}):
        assert (await api.request("POST", "/allocations", odd)).status_code == 400
    assert (await api.request("POST", "/allocations", {one: wants(1)}, version="1.12")).status_code == 404


async def test_candidates(api: Api) -> None:
    small = await api.provider("small", VCPU=2, MEMORY_MB=512)
    large = await api.provider("large", VCPU=8, MEMORY_MB=4096)
    await api.claim(new_id(), {large: {"VCPU": 1}})
    path = "/allocation_candidates?resources=VCPU:2,MEMORY_MB:512"
    found = await api.get(path)
    asked = {"resources": {"VCPU": 2, "MEMORY_MB": 512}}
    assert {"allocations": {small: asked}} in found["allocation_requests"]
    assert len(found["allocation_requests"]) == 2
    summary = found["provider_summaries"][large]
    assert summary["resources"]["VCPU"] == {"capacity": 8, "used": 1}
    assert summary["traits"] == []
    assert len((await api.get(f"{path}&limit=1"))["allocation_requests"]) == 1
    older = await api.get(path, version="1.10")
    assert isinstance(older["allocation_requests"][0]["allocations"], list)
    large_only = await api.get("/allocation_candidates?resources=VCPU:7")
    assert list(large_only["provider_summaries"]) == [large]
    assert (await api.get("/allocation_candidates?resources=VCPU:8"))["allocation_requests"] == []
    body = {"traits": ["HW_CPU_X86_VMX"], "resource_provider_generation": 1}
    await api.request("PUT", f"/resource_providers/{small}/traits", body)
    with_trait = await api.get(f"{path}&required=HW_CPU_X86_VMX")
    assert list(with_trait["provider_summaries"]) == [small]
    without = await api.get(f"{path}&required=!HW_CPU_X86_VMX")
    assert list(without["provider_summaries"]) == [large]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "resources=",
        "resources=VCPU",
        "resources=WARP:1",
        "resources=VCPU:1&limit=0",
        "resources=VCPU:1&x=1",
        "resources=VCPU:1&limit=²",
        "resources=VCPU:1&limit=" + "9" * 5000,
        "resources=VCPU:1&required=X",
    ],
)
async def test_odd_questions_for_candidates(api: Api, query: str) -> None:
    assert (await api.request("GET", f"/allocation_candidates?{query}")).status_code == 400


async def test_usages_are_for_the_own_project(api: Api) -> None:
    id = await api.provider("one", VCPU=8)
    await api.claim(new_id(), {id: {"VCPU": 2}}, project="p1")
    await api.claim(new_id(), {id: {"VCPU": 3}}, project="p2")
    assert (await api.get("/usages?project_id=p1", person="alice"))["usages"] == {"VCPU": 2}
    assert (await api.request("GET", "/usages?project_id=p2", person="alice")).status_code == 403
    assert (await api.get("/usages?project_id=p2"))["usages"] == {"VCPU": 3}
    assert (await api.get("/usages?project_id=p2&user_id=nobody"))["usages"] == {}
    assert (await api.request("GET", "/usages")).status_code == 400
    assert (await api.request("GET", "/usages?project_id=p1", version="1.8")).status_code == 404


async def test_what_is_free_is_kept_through_every_change(api: Api) -> None:
    """`used` and `free` of an inventory are sums that are written down: they must stay the sums."""
    inventory = {"total": 100, "reserved": 10, "allocation_ratio": 2.0}
    one, two = await api.provider("one", VCPU=inventory), await api.provider("two", VCPU=inventory)
    first, second = new_id(), new_id()

    async def check() -> None:
        for row in await api.house.store.all(model.INVENTORIES):
            held = await api.house.store.all(model.ALLOCATIONS, {"provider_id": row.provider_id})
            assert row.used == sum(each.used for each in held)
            assert row.free == int((row.total - row.reserved) * row.allocation_ratio) - row.used

    async def setting(total: int) -> None:
        generation = (await api.get(f"/resource_providers/{one}"))["generation"]
        body = {"resource_provider_generation": generation, "inventories": {"VCPU": {"total": total}}}
        answer = await api.request("PUT", f"/resource_providers/{one}/inventories", body)
        assert answer.status_code == 200, answer.text

    for wanted in ({one: {"VCPU": 50}}, {one: {"VCPU": 20}, two: {"VCPU": 30}}, {two: {"VCPU": 1}}):
        assert (await api.claim(first, wanted)).status_code == 204
        await check()
    assert (await api.claim(second, {one: {"VCPU": 60}})).status_code == 204
    assert (await api.claim(first, {one: {"VCPU": 60}, two: {"VCPU": 400}})).status_code == 409
    await setting(40)
    rows = await api.house.store.all(model.INVENTORIES, {"provider_id": one})
    assert [(row.used, row.free) for row in rows] == [(60, -20)]
    assert (await api.request("DELETE", f"/allocations/{second}")).status_code == 204
    rows = await api.house.store.all(model.INVENTORIES, {"provider_id": one})
    assert [(row.used, row.free) for row in rows] == [(0, 40)]


async def test_a_limit_lets_those_with_most_room_through(api: Api) -> None:
    await api.provider("a-small-one", MEMORY_MB=100)
    middle = await api.provider("middle", MEMORY_MB=1000)
    large = await api.provider("the-largest", MEMORY_MB=2000)
    path = "/allocation_candidates?resources=MEMORY_MB:500"
    assert list((await api.get(f"{path}&limit=1"))["provider_summaries"]) == [large]
    assert set((await api.get(path))["provider_summaries"]) == {middle, large}


def test_equals_are_not_sorted() -> None:
    """Nearly all hosts of an even cloud have equally much free; a limited look must not pass them all."""
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        for table in model.TABLES.sorted_tables:
            database.execute(str(CreateTable(table).compile(dialect=dialect())))
            for index in table.indexes:
                database.execute(str(CreateIndex(index).compile(dialect=dialect())))
        asked = {"class_0": "MEMORY_MB", "amount_0": 1, "class_1": "VCPU", "amount_1": 1}
        statement = with_most_room(2).limit(24).params(asked)
        sql = statement.compile(dialect=dialect(), compile_kwargs={"literal_binds": True})
        plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert "placement_inventories_most_room" in plan[0]
    assert not [step for step in plan if "TEMP B-TREE" in step]


async def test_an_inventory_larger_than_any_number(api: Api) -> None:
    id = await api.provider("endless", VCPU={"total": 2147483647, "allocation_ratio": 3.4e38})
    assert (await api.claim(new_id(), {id: {"VCPU": 2147483647}})).status_code == 204
    found = await api.get("/allocation_candidates?resources=VCPU:5")
    assert list(found["provider_summaries"]) == [id]
