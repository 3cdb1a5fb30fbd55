"""What layers raise, as answers."""

import asyncio

import pytest

from aerostat.services.object.cluster.errors import DeviceFull, NoQuorum
from aerostat.services.object.http.request import Request
from aerostat.services.object.pipeline import guarded
from aerostat.services.object.stores.protocol import DeviceAway

from .kit import opened


@pytest.mark.parametrize(
    ("fault", "status"),
    [(NoQuorum("c", 1, 2), 503), (DeviceAway("d1"), 503), (DeviceFull(), 507)],
)
async def test_faults_of_devices_are_answers_wherever_they_are_met(fault, status):
    async def layer(request):
        raise fault

    assert (await guarded(layer)(Request("GET", "/v1/A"))).status == status


async def test_a_layer_that_asks_for_a_container_in_vain_is_no_error_of_the_server(tmp_path, monkeypatch):
    """Quotas ask before the handlers do."""
    async with opened(tmp_path) as store:
        await store.put("/v1/A/c")
        store.room.infos.forget("A", "c")

        async def status(*_args, **_options):
            raise NoQuorum("/A/c", 1, 2)

        monkeypatch.setattr(store.room.cluster.containers.plain, "status", status)
        answer = await store("PUT", "/v1/A/c/o", b"x")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")


async def test_a_write_that_has_begun_is_told_of_though_nobody_waits(tmp_path, monkeypatch):
    """Broken off between the file and the listing, the object was there and no listing ever had it."""
    async with opened(tmp_path) as store:
        await store.put("/v1/A/c")
        replicated = type(store.room.cluster.objects(0))
        for verb, before in (("put", []), ("delete", ["o"])):
            written, may_go_on = asyncio.Event(), asyncio.Event()
            write = getattr(replicated, verb)

            async def waiting(*args, write=write, written=written, may_go_on=may_go_on):
                answer = await write(*args)
                written.set()
                await may_go_on.wait()
                return answer

            with monkeypatch.context() as patch:
                patch.setattr(replicated, verb, waiting)
                asked = asyncio.create_task(store(verb.upper(), "/v1/A/c/o", b"x"))
                await written.wait()
                asked.cancel()
                await asyncio.wait([asked])
                listed = (await store("GET", "/v1/A/c", query="format=json")).json
                assert [row["name"] for row in listed] == before
                may_go_on.set()
                await store.room.finishing.all_ended()
            listed = (await store("GET", "/v1/A/c", query="format=json")).json
            assert [row["name"] for row in listed] == ([] if before else ["o"])
