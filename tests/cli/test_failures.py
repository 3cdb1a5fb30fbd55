"""What stops a process from starting reads as words, not as a traceback."""

import socket

import pytest

from aerostat.app_http import listen
from aerostat.cli import CommandError
from aerostat.cli.failures import told
from aerostat.kernel.config import load
from aerostat.kernel.state_folder import StateFolder


@pytest.fixture
def config(tmp_path):
    return load(StateFolder(tmp_path))


def test_a_taken_port_is_named(config):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"in use: '127.0.0.1 port {port}'"), told(config):
            listen("127.0.0.1", port)


def test_a_host_without_its_library_says_which(config):
    with pytest.raises(CommandError, match=r"pip install 'aerostat\[metal\]'"), told(config):
        raise ModuleNotFoundError("No module named 'libvirt'", name="libvirt")


def test_a_module_of_ours_that_is_missing_is_our_mistake(config):
    with pytest.raises(ModuleNotFoundError), told(config):
        raise ModuleNotFoundError("No module named 'aerostat.gone'", name="aerostat.gone")
