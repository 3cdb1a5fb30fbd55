"""Notes: on the disk when they are kept, read whole or not at all."""

import pytest

from aerostat.services.object.stores.container_db import Entry
from aerostat.services.object.stores.device import LocalDevice
from aerostat.services.object.stores.pending import Note, Pending
from aerostat.services.object.stores.protocol import DeviceAway, Place

HASH, OTHER = "ab" * 16, "cd" * 16


@pytest.fixture
def pending(tmp_path):
    return Pending(tmp_path)


def note(name="o", **more):
    return Note(at=5, account="a", container="c", objects=[Entry(name=name, timestamp=5)], **more)


def test_notes_come_back_in_order_and_by_hearer(pending):
    kept = [pending.keep(HASH, note("1")), pending.keep(OTHER, note("x")), pending.keep(HASH, note("2"))]
    assert list(pending.names()) == [kept[0], kept[2], kept[1]]
    assert [pending.read(name).objects[0].name for name in pending.names()] == ["1", "2", "x"]
    pending.drop(kept[0])
    assert pending.read(kept[0]) is None
    assert list(pending.names()) == [kept[2], kept[1]]


def test_a_note_is_changed_without_a_moment_in_which_there_is_none(pending, monkeypatch):
    name = pending.keep(HASH, note())
    changed = pending.change(name, note(told=["d1"]))
    assert list(pending.names()) == [changed]
    assert pending.read(changed).told == ["d1"]
    monkeypatch.setattr(Pending, "drop", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pending.change(changed, note(told=["d1", "d2"]))
    assert len(list(pending.names())) == 2, "who dies there tells it twice"


@pytest.mark.parametrize("length", [0, 3, 4, 10, -1])
def test_a_torn_note_is_none(pending, length):
    name = pending.keep(HASH, note())
    path = pending.root / name
    path.write_bytes(path.read_bytes()[:length])
    assert pending.read(name) is None


async def test_a_device_keeps_notes_if_it_is_there(tmp_path):
    device = LocalDevice(tmp_path)
    await device.keep_note(Place(3, HASH), note())
    assert len(list(Pending(tmp_path).names())) == 1
    await device.close()
    other = LocalDevice(tmp_path / "d2", device_id="elsewhere")
    with pytest.raises(DeviceAway):
        await other.keep_note(Place(3, HASH), note())
    await other.close()
