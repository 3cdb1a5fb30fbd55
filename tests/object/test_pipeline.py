"""What layers raise, as answers."""

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
