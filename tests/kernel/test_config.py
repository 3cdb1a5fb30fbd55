"""Settings: what wins, what is refused, and how a refusal reads."""

from pathlib import Path

import msgspec
import pytest

from aerostat.kernel.config import ROLES, Config, ConfigError, KernelConfig, load
from aerostat.kernel.host_place import place_of
from aerostat.kernel.state_folder import StateFolder


class RoomConfig(msgspec.Struct, frozen=True, kw_only=True):
    driver: str = "real"
    cpu_ratio: float = 4.0
    filters: tuple[str, ...] = ("ram", "disk")


ROOMS = {"compute": RoomConfig}


@pytest.fixture
def folder(tmp_path):
    return StateFolder(tmp_path / "s")


def written(folder, text, environ=None, **more) -> Config:
    folder.create()
    folder.settings.write_text(text)
    return load(folder, ROOMS, environ=environ or {}, **more)


def test_without_a_file_everything_has_its_default(folder):
    config = load(folder, ROOMS, environ={})
    assert config.kernel.port == 8780
    assert config.kernel.public_url == "http://127.0.0.1:8780"
    assert config.kernel.database_url == f"sqlite:///{folder.path}/db/aerostat.sqlite"
    assert config.kernel.bus_url == f"unix:{folder.path}/run/bus.sock"
    assert config.section(RoomConfig) == RoomConfig()


def test_a_file_in_a_folder_that_is_closed_to_us(folder, tmp_path, monkeypatch):
    def refuse(path, **_how):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(ConfigError, match=r"aerostat.toml cannot be read: Permission denied"):
        load(folder, ROOMS, file=tmp_path / "closed" / "aerostat.toml")


def test_file_then_environment_then_arguments(folder):
    text = "[kernel]\nport = 1001\nlog_bytes = 2\nlog_level = 'debug'\n[compute]\ncpu_ratio = 2\n"
    environ = {
        "AEROSTAT_KERNEL_LOG_BYTES": "3",
        "AEROSTAT_COMPUTE_FILTERS": "az, ram",
        "AEROSTAT_STATE": "/x",
    }
    config = written(folder, text, environ, port=1002, public_url=None)
    assert (config.kernel.port, config.kernel.log_bytes, config.kernel.log_level) == (1002, 3, "debug")
    assert config.section(RoomConfig).filters == ("az", "ram")
    assert config.section(RoomConfig).cpu_ratio == 2.0


def test_drivers_from_the_environment(folder):
    config = load(folder, ROOMS, environ={"AEROSTAT_KERNEL_DRIVERS": "compute=fake,network=ovn"})
    assert config.driver("compute", "libvirt") == "fake"
    assert config.driver("image", "file") == "file"


@pytest.mark.parametrize(
    ("text", "environ", "says"),
    [
        ("[kernel]\nprot = 1\n", {}, "unknown setting kernel.prot; did you mean port?"),
        ("[computer]\n", {}, "unknown section [computer]; did you mean compute?"),
        ("[kernel]\nport = 'http'\n", {}, "section [kernel]: Expected `int`, got `str` - at `$.port`"),
        ("[kernel]\nlog_level = 'loud'\n", {}, "$.log_level"),
        ("[kernel]\nroles = ['api', 'engin']\n", {}, "unknown role engin; did you mean engine?"),
        ("port = 1\n", {}, "unknown section [port]"),
        ("kernel = 1\n", {}, "outside of a section"),
        ("[kernel\n", {}, "is not TOML"),
        ("", {"AEROSTAT_KERNEL_PRT": "1"}, "unknown setting AEROSTAT_KERNEL_PRT; did you mean port?"),
        ("", {"AEROSTAT_COMPUTE_ZZZ": "1"}, "known are cpu_ratio, driver, filters"),
    ],
)
def test_a_wrong_setting_is_named(folder, text, environ, says):
    with pytest.raises(ConfigError) as caught:
        written(folder, text, environ)
    assert says in str(caught.value)


def test_an_unreadable_file_is_named(folder):
    folder.create()
    folder.settings.mkdir()
    with pytest.raises(ConfigError, match=r"aerostat\.toml cannot be read: Is a directory"):
        load(folder, ROOMS, environ={})


def test_fake_is_one_process_whatever_the_file_says(folder):
    text = "[kernel]\nbus_url = 'amqp://x'\nroles = ['api']\ndrivers.compute = 'libvirt'\n"
    config = written(folder, text, fake=True)
    assert config.kernel.bus_url == "memory:"
    assert config.kernel.roles == ROLES
    assert config.driver("compute", "libvirt") == "fake"
    assert config.kernel.guest_url == config.kernel.public_url


def test_listening_everywhere_is_reached_by_loopback(folder):
    config = load(folder, environ={}, listen_address="::", port=5)
    assert config.kernel.public_url == "http://[::1]:5"
    assert isinstance(config.kernel, KernelConfig)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("database_url = 'mysql://secret@db/x'", "it can start with sqlite:, postgresql:"),
        ("bus_url = 'http://secret@queue'", "amqps:"),
        ("bus_url = 'amqp://'", "names no host"),
        ("bus_url = 'amqp://u:secret@queue:port/'", "no address"),
    ],
)
def test_addresses_that_cannot_be_are_refused_without_their_passwords(folder, setting, said):
    with pytest.raises(ConfigError, match=said) as caught:
        written(folder, f"[kernel]\n{setting}\n")
    assert "secret" not in str(caught.value)


def test_another_file_takes_the_place_of_the_folders_own(folder, tmp_path):
    file = tmp_path / "elsewhere.toml"
    with pytest.raises(ConfigError, match="there is no settings file"):
        load(folder, ROOMS, environ={}, file=file)
    file.write_text(
        "[kernel]\nport = 7\nsecrets_file = '/etc/secrets.toml'\ndatabase_url = 'postgresql://h/d'\n"
    )
    config = load(folder, ROOMS, environ={}, file=file)
    assert (config.kernel.port, str(config.folder.secrets_file)) == (7, "/etc/secrets.toml")
    assert not config.kernel.embedded


def test_a_cloud_that_is_whole_prepares_a_shared_database_too(folder):
    shared = '[kernel]\ndatabase_url = "postgresql://a:b@127.0.0.1/x"\n'
    assert not written(folder, shared).kernel.prepares
    assert written(folder, shared, {"AEROSTAT_KERNEL_WHOLE": "true"}).kernel.prepares
    assert written(folder, "").kernel.prepares


@pytest.mark.parametrize(
    ("setting", "has_daemon"),
    [("", False), ("hosts = 2", True), ('bus_url = "amqp://a:b@127.0.0.1:1/"', True)],
)
def test_libvirt_is_a_daemon_where_its_host_is_reached_over_a_network(folder, setting, has_daemon):
    config = written(folder, f"[kernel]\n{setting}\n")
    assert place_of(config).has_daemon is has_daemon
    own = place_of(config, None)
    assert (own.has_daemon, own.stands_alone) == (False, True)
