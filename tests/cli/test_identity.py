"""`aerostat identity`: a file out, a file in, another key; on the database of a cloud that does not run."""

import asyncio
import json
import stat
from pathlib import Path

import pytest

from aerostat.cli import main
from aerostat.cli.settings import room_sections
from aerostat.kernel.config import Config, load
from aerostat.kernel.db import Seal, create_schema, open_store
from aerostat.kernel.state_folder import StateFolder
from aerostat.services.identity import model
from aerostat.services.identity.config import IdentityConfig
from aerostat.services.identity.token_keys import TokenKeys

FILE = """
version: 1
domains:
  - {name: Far}
users:
  - {name: amelia, domain: Far, email: a@far.test}
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Of a cloud that was started once."""
    config = load(StateFolder(tmp_path / "s"), room_sections())

    async def found() -> None:
        secrets = config.folder.ensure_secrets()
        store = await open_store(config.kernel.database_url, Seal(secrets.sealing_key))
        await create_schema(store, [model.TABLES])
        await TokenKeys(store, config.section(IdentityConfig)).load()
        await store.close()

    with config.folder.created():
        asyncio.run(found())
    return config


def identity(config: Config, *words: str) -> int:
    return main(["identity", *words, "--state", str(config.state)])


def test_a_file_goes_in_and_comes_out(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "in.yaml", tmp_path / "out.json"
    file.write_text(FILE)
    assert identity(config, "import", str(file), "--dry-run") == 0
    assert capsys.readouterr().out == "2 would be made, 0 would be changed, 0 as they are.\n"
    for expected in ("2 made, 0 changed, 0 as", "0 made, 0 changed, 2 as"):
        assert identity(config, "import", str(file)) == 0
        assert capsys.readouterr().out.startswith(expected)
    assert identity(config, "export", "--output", str(out)) == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    document = json.loads(out.read_text())
    assert [user["email"] for user in document["users"]] == ["a@far.test"]
    assert identity(config, "export") == 0
    assert json.loads(capsys.readouterr().out) == document
    assert identity(config, "import", str(out)) == 0
    assert capsys.readouterr().out.startswith("0 made, 0 changed, 2 as")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "version: 1\nusers: [{name: x, domain: Nowhere}]",
            "nothing has changed:\nusers[0] (x): there is no",
        ),
        ("version: 1\npeople: []", "unknown field `people`"),
        ("{", "Error parsing file"),
        ("a: &a [1]\nb: *a\n\t", "Error parsing file"),
    ],
)
def test_a_bad_file_is_refused(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    (tmp_path / "bad").write_text(text)
    assert identity(config, "import", str(tmp_path / "bad")) == 1
    assert reason in capsys.readouterr().err


def test_what_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["identity", "import", str(tmp_path / "absent"), "--state", str(tmp_path / "s")]) == 1
    assert "cannot read" in capsys.readouterr().err
    assert main(["identity", "export", "--state", str(tmp_path / "s")]) == 1
    assert "no cloud was started" in capsys.readouterr().err
    assert main(["identity", "import", "--state", str(tmp_path / "s")]) == 2


def test_keys_are_changed(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    async def numbers() -> list[int]:
        store = await open_store(config.kernel.database_url, Seal(config.folder.secrets().sealing_key))
        found = [row.number for row in await store.all(model.TOKEN_KEYS, order="number")]
        await store.close()
        return found

    assert identity(config, "rotate-keys") == 0
    assert asyncio.run(numbers()) == [1, 2]
    assert identity(config, "rotate-keys", "--at-once") == 0
    assert asyncio.run(numbers()) == [3]
    assert "everybody has to log in again" in capsys.readouterr().out


MAPPING = """
- local:
    - {user: {name: "{0}"}}
    - {groups: "{1}", domain: {name: Far}}
  remote:
    - {type: name}
    - {type: groups, blacklist: [guests]}
"""


def test_a_mapping_is_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_text(MAPPING)
    said = ["--says", "name=ann", "--says", "groups=dev;guests"]
    assert main(["identity", "try-mapping", str(file), *said]) == 0
    mapped = json.loads(capsys.readouterr().out)
    assert mapped["user"]["name"] == "ann"
    assert mapped["group_names"] == [{"name": "dev", "domain": {"name": "Far"}}]
    assert main(["identity", "try-mapping", str(file), "--says", "name=ann"]) == 1
    assert "No rule of the mapping fits" in capsys.readouterr().err
    file.write_text(MAPPING.replace("{1}", "{7}"))
    assert main(["identity", "try-mapping", str(file), *said]) == 1
    assert "{7} has nothing to stand for" in capsys.readouterr().err
