"""The programs in examples/ run as they stand."""

import importlib.util
from pathlib import Path

from tests.house.simulated_guest import boot_guests
from tests.house.world import assert_nothing_is_left

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_first_flight_in_python(aerostat_cloud, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    boot_guests(aerostat_cloud)
    spec = importlib.util.spec_from_file_location("first_flight", EXAMPLES / "first_flight.py")
    first_flight = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(first_flight)

    outputs = first_flight.fly(aerostat_cloud.connect("demo"), "flown")

    assert "hello from the other side" in outputs["message"]
    told = capsys.readouterr().out
    assert "CREATE_COMPLETE" in told
    assert "login:" in told
    assert list(tmp_path.iterdir()) == [], "the key is gone with the machine"
    assert aerostat_cloud.connect("demo").compute.find_keypair("flown") is None
    assert_nothing_is_left(aerostat_cloud)
