"""`aerostat object`: a store of its own, its rings, and where things are."""

import argparse
import urllib.error
import urllib.request

import pytest

from aerostat.cli import main
from aerostat.cli.object import up
from aerostat.cli.up import find_free_port
from aerostat.kernel.state_folder import StateFolder
from aerostat.services.object.config import ObjectConfig
from aerostat.services.object.places import Places


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A founded store of three devices, not running."""
    monkeypatch.setenv("AEROSTAT_STATE", str(tmp_path / "cloud"))
    places = Places(tmp_path / "s" / "object")
    places.found(ObjectConfig(part_power=4, replicas=2), ["d1", "d2", "d3"])
    return tmp_path / "s"


def test_a_device_comes_and_goes(folder, tmp_path, capsys):
    assert (
        main(["object", "ring", "add", "d4", "--folder", str(tmp_path / "disk"), "--state", str(folder)]) == 0
    )
    assert "copies of partitions move" in capsys.readouterr().out
    places = Places(folder / "object")
    assert {one.name for one in places.ring("object").devices.values()} == {"d1", "d2", "d3", "d4"}
    assert (folder / "object" / "devices" / "d4").resolve() == tmp_path / "disk"
    assert main(["object", "ring", "weight", "d1", "0", "--now", "--state", str(folder)]) == 0
    ring = places.ring("object")
    assert all("d1" not in {one.name for one in ring.holders(part)} for part in range(ring.parts))
    assert main(["object", "ring", "remove", "d1", "--ring", "object", "--state", str(folder)]) == 0
    assert "d1" not in {one.name for one in places.ring("object").devices.values()}
    assert "d1" in {one.name for one in places.ring("account").devices.values()}
    capsys.readouterr()
    assert main(["object", "ring", "--state", str(folder)]) == 0
    assert "object: 16 partitions, 2 copies" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["remove", "d9"], "No device of the ring is called d9."),
        (["weight", "d1", "heavy"], "heavy is no number"),
        (["add", "d1"], "is in the ring already"),
        (["add", "../d"], "is no name for a device"),
        (["--ring", "objekt"], "there is no ring objekt"),
        (["replicas"], "what shall be done?"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(folder, capsys, words, told):
    before = (folder / "object" / "rings" / "object.ring").read_bytes()
    assert main(["object", "ring", *words, "--state", str(folder)]) == 1
    assert told in capsys.readouterr().err
    assert (folder / "object" / "rings" / "object.ring").read_bytes() == before


def test_where_a_path_is(folder, capsys):
    assert main(["object", "nodes", "AUTH_a/c/o/p", "--state", str(folder)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("object AUTH_a/c/o/p: partition ")
    assert out.count("  holder   ") == 2
    assert out.count("  handoff  ") == 1
    assert "nothing there" in out


def test_more_copies_than_devices_are_refused(tmp_path, capsys):
    assert main(["object", "up", "--replicas", "3", "--state", str(tmp_path / "s")]) == 1
    assert "3 copies need as many devices" in capsys.readouterr().err


def test_a_store_starts_answers_and_stops(tmp_path, capsys):
    state, port = tmp_path / "s", find_free_port("127.0.0.1")
    words = ["--state", str(state)]
    assert main(["object", "up", "--detach", "--port", str(port), "--workers", "2", *words]) == 0
    try:
        out = capsys.readouterr().out
        assert f"http://127.0.0.1:{port}/auth/v1.0" in out
        assert "swift -A" in out
        assert main(["object", "info", *words]) == 0
        assert "max_object_name_length" in capsys.readouterr().out
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=10) as answer:
            assert answer.read() == b"OK"
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/nothing", timeout=10)
    finally:
        assert main(["object", "down", *words]) == 0
    capsys.readouterr()
    assert main(["object", "down", *words]) == 1
    assert "no object store runs" in capsys.readouterr().err


def test_settings_of_ones_own_are_left_alone(tmp_path):
    settings = tmp_path / "own.toml"
    settings.write_text("[kernel]\nport = 8123\n")
    folder = StateFolder(tmp_path / "state")
    folder.create()
    args = argparse.Namespace(config=str(settings), state=str(folder.path), port=None)
    assert up.prepared(args, folder).kernel.port == 8123
    assert not folder.settings.exists()
