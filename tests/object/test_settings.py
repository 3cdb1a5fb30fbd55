"""Settings: what nobody reads is refused, and all that somebody reads stands in one page of the documents."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aerostat.kernel.config import ConfigError, load
from aerostat.kernel.state_folder import StateFolder
from aerostat.services.object import pipeline
from aerostat.services.object.cluster.policies import Policy
from aerostat.services.object.config import Limits, ObjectConfig
from aerostat.services.object.daemons.settings import DaemonConfig, Interval
from aerostat.services.object.node.waits import Waits
from tests.settings_page import of_code, of_page

from .kit import opened

PAGE = Path(__file__).parents[2] / "docs/howto/object-store-settings.md"


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("temp_auth", {}, "there is no such middleware; there is tempauth"),
        ("encryption", {"root_secret": {"1": "…"}}, "unknown field `root_secret`"),
        ("dlo", {"max_segments": 5}, "unknown field `max_segments`"),
        ("ratelimit", {"account_rate": 5}, "unknown field `account_rate`"),
        ("slo", {"max_manifest_segments": "many"}, "Expected `int`"),
        ("symlink", {"symloop_max": 0}, "Expected `int` >= 1"),
        ("container_sync", {"realms": {"US": {"keys": "k"}}}, "unknown field `keys`"),
    ],
)
async def test_options_that_nobody_reads_are_refused(
    tmp_path: Path, name: str, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(
        ConfigError, match=f"^{re.escape(f'[object.middleware.{name}]')}: .*{re.escape(told)}"
    ):
        async with opened(tmp_path, middleware={name: options}):
            pass


@pytest.mark.parametrize(
    "table",
    [
        "[object]\nreplica = 3",
        "[object.limits]\nmax_size = 3",
        "[object.daemons]\nshard_row = 3",
        "[object.daemons.interval_s]\nreplication = 3",
        '[[object.policies]]\nindex = 0\nname = "gold"\nreplica = 3',
    ],
)
def test_settings_that_nobody_reads_are_refused(tmp_path: Path, table: str) -> None:
    folder = StateFolder(tmp_path)
    folder.settings.write_text(table)
    with pytest.raises(ConfigError, match=table.rpartition("\n")[2].partition(" ")[0]):
        load(folder, {"object": ObjectConfig})


def sections() -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """All of them, by the name of their table."""
    yield "object", ObjectConfig
    yield "object.limits", Limits
    yield "object.policies", Policy
    yield "object.node_waits", Waits
    yield "object.daemons", DaemonConfig
    yield "object.daemons.interval_s", Interval
    for name in sorted(pipeline.ORDER):
        module = importlib.import_module(f"aerostat.services.object.middleware.{name}")
        if hasattr(module, "Settings"):
            yield f"object.middleware.{name}", module.Settings


def test_all_settings_stand_in_the_page_with_their_defaults() -> None:
    assert sorted(of_page(PAGE)) == sorted(of_code(sections()))


def test_some_test_sets_each_setting() -> None:
    """By its name; that it then tests something is for readers to see."""
    tests = [path for path in Path(__file__).parents[1].rglob("*.py") if path != Path(__file__)]
    words = {word for path in tests for word in re.findall(r"\w+", path.read_text())}
    plain = [name for _, name, default in of_code(sections()) if default != "see below"]
    assert [name for name in plain if name not in words] == []
