"""`aerostat policy`: all rules, and what is wrong with a file of them."""

from pathlib import Path

import pytest
import yaml

from aerostat.cli import main
from aerostat.kernel.policy.rules import read_policy_file


def test_the_sample_is_a_policy_file_that_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["policy", "sample"]) == 0
    sample = capsys.readouterr().out
    file = tmp_path / "policy.yaml"
    file.write_text(sample)
    assert read_policy_file(file) == {}
    taken = "\n".join(line[1:] for line in sample.splitlines() if line.startswith('#"'))
    rules = yaml.safe_load(taken)
    assert {"identity:list_users", "os_compute_api:servers:create"} <= rules.keys()
    file.write_text(taken)
    assert main(["policy", "check", str(file)]) == 0
    assert "fits the rules" in capsys.readouterr().out


def test_what_is_wrong_with_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(
        '"own": "role:x"\n"identity:list_user": "rule:own"\n"identity:get_user": "role:a or"\n'
        '"identity:get_role": "rule:nowhere"\n'
    )
    assert main(["policy", "check", str(file)]) == 1
    # The log has its say as well: that of a cloud that reads such a file.
    told = [line for line in capsys.readouterr().out.splitlines() if "[warning" not in line]
    assert told[0] == "identity:list_user: nobody asks for this rule; is it identity:list_users?"
    assert told[1].startswith("identity:get_user: ")
    assert told[2] == "rule:nowhere is referred to, and there is no such rule"
    assert len(told) == 3
    file.write_text("[")
    assert main(["policy", "check", str(file)]) == 1
