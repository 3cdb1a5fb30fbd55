"""The programs in examples/ run as they stand."""

import importlib.util
from pathlib import Path

from tests.house.simulated_guest import boot_guests
from tests.house.world import assert_nothing_is_left

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_first_flight_in_python(aerostat_cloud, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    boot_guests(aerostat_cloud)
    first_flight = loaded("first_flight")
    outputs = first_flight.fly(aerostat_cloud.connect("demo"), "flown")

    assert "hello from the other side" in outputs["message"]
    told = capsys.readouterr().out
    assert "CREATE_COMPLETE" in told
    assert "login:" in told
    assert list(tmp_path.iterdir()) == [], "the key is gone with the machine"
    assert aerostat_cloud.connect("demo").compute.find_keypair("flown") is None
    assert_nothing_is_left(aerostat_cloud)


def test_a_robot_looks_at_servers_and_no_further(shared_aerostat_cloud, capsys):
    robot = loaded("robot")
    with shared_aerostat_cloud.connect("demo") as demo:
        robot.live(demo, "looking")
    told = capsys.readouterr().out.splitlines()
    assert told == ["servers: []", "networks: refused", "afterwards: refused"]


def test_an_image_is_shared(shared_aerostat_cloud, tmp_path, capsys):
    file = tmp_path / "disk.raw"
    file.write_bytes(b"x" * 1000)
    admin = shared_aerostat_cloud.connection  # who sees all images: the one who shares, then
    with shared_aerostat_cloud.connect("demo") as demo:
        image = loaded("share_image").share(admin, demo, file, "raw")
        assert (image.status, image.owner) == ("active", admin.current_project_id)
        told = capsys.readouterr().out.splitlines()
        assert told == ["disk.raw is active: 1000 bytes", "in the other's list: False", "once accepted: True"]
        admin.image.delete_image(image)


def test_a_department_runs_itself_within_limits(shared_aerostat_cloud, capsys):
    lab = loaded("lab")
    with shared_aerostat_cloud.connect("admin") as admin:
        lab.live(admin, "lab of the example")
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "ada sees: ['ada', 'bob']",
        "ada makes an administrator: refused",
        "bob's image 1: done",
        "bob's image 2: refused",
    ]


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
