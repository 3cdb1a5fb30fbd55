"""`test`: which ring means which tests."""

import pytest

from aerostat.cli import COMMANDS, CommandError, main
from aerostat.cli.test import FAST, selection

FOLDERS = {"kernel", "compute", "contracts", "house", "metal"}


@pytest.mark.parametrize(
    ("ring", "words"),
    [
        ("fast", [*FAST, "tests"]),
        ("compute", [*FAST, "tests/compute"]),
        ("metal", ["-m", "metal or guest", "tests"]),
        ("all", ["tests"]),
    ],
)
def test_rings(ring, words):
    assert selection(ring, FOLDERS) == words


def test_an_unknown_ring_names_the_known_ones():
    with pytest.raises(CommandError, match="fast, metal, all, compute, contracts, house, kernel"):
        selection("fats", FOLDERS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_can_be_loaded_and_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) > 4
