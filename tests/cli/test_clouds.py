"""The user's clouds.yaml: merged with care, or left alone with a word about it."""

import os
import stat

import openstack.config
import pytest
import yaml

from aerostat.cli.clouds import MergeRefused, entries, merge_into, merged, take_out, write_client_files
from aerostat.kernel.config import load
from aerostat.kernel.state_folder import StateFolder

OURS = {"aerostat": {"auth": {"password": "new"}}, "aerostat-demo": {"auth": {"password": "demo"}}}

OTHERS = """\
# my clouds
clouds:
    work:      # the big one
        auth: {username: me}   # flow inside

    aerostat:
        auth:
            password: old
# at the margin
    home:
        region_name: attic

# the end
cache:
  expiration: 5
"""


def test_others_keep_every_byte():
    after = merged(OTHERS, OURS)
    kept = [line for line in OTHERS.splitlines() if "aerostat" not in line and line not in ("        auth:",)]
    for line in kept:
        assert line in after or "password: old" in line
    clouds = yaml.safe_load(after)["clouds"]
    assert clouds["aerostat"] == OURS["aerostat"]
    assert clouds["aerostat-demo"] == OURS["aerostat-demo"]
    assert clouds["work"] == {"auth": {"username": "me"}}
    assert list(clouds) == ["work", "aerostat", "home", "aerostat-demo"]
    assert "# the big one" in after
    assert "password: old" not in after


@pytest.mark.parametrize(
    "before",
    [
        "",
        "clouds:\n",
        "clouds: {}\n",
        "clouds: {other: {region_name: x}}\n",
        "cache: {}\n",
        "clouds:\n  a: &a {region_name: x}\n  aerostat: &b {region_name: y}\n  c: *b\n",
        "---\nclouds:\n- no\n".replace("- no", "  'quoted': {x: 1}"),
        "clouds:\n  last: {x: 1}",
        "clouds:\n  # only a comment\n",
    ],
)
def test_any_valid_form_keeps_its_meaning(before):
    data = yaml.safe_load(before) or {}
    after = yaml.safe_load(merged(before, OURS))
    assert after == {**data, "clouds": {**(data.get("clouds") or {}), **OURS}}


def test_merging_again_changes_nothing():
    once = merged(OTHERS, OURS)
    assert merged(once, OURS) == once


@pytest.mark.parametrize(
    ("before", "says"),
    [
        ("clouds: [", "not valid YAML at line 1"),
        ("- a\n", "no mapping of clouds"),
        ("clouds: 3", "no mapping"),
    ],
)
def test_a_file_that_is_no_clouds_yaml_is_left_alone(tmp_path, before, says):
    path = tmp_path / "clouds.yaml"
    path.write_text(before)
    with pytest.raises(MergeRefused, match=says):
        merge_into(path, OURS)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_unreadable_file_is_left_alone(tmp_path):
    path = tmp_path / "clouds.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MergeRefused, match="cannot be read"):
        merge_into(path, OURS)
    assert path.read_bytes() == b"\xff\xfe\x00"


def test_there_is_one_backup_of_the_file_before_us(tmp_path):
    path = tmp_path / "clouds.yaml"
    path.write_text(OTHERS)
    path.chmod(0o644)
    backup = tmp_path / "clouds.yaml.before-aerostat"
    assert merge_into(path, OURS) == backup
    assert backup.read_text() == OTHERS
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600, "there may be passwords in it"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "there is a password in it now"
    assert merge_into(path, OURS) is None
    for region in "abc":
        assert merge_into(path, {"aerostat": {"region_name": region}}) is None
    assert sorted(tmp_path.iterdir()) == [path, backup]
    assert backup.read_text() == OTHERS


def test_who_takes_us_out_and_in_again_has_the_newer_backup(tmp_path):
    path = tmp_path / "clouds.yaml"
    path.write_text(OTHERS)
    merge_into(path, OURS)
    assert take_out(path, OURS)
    changed = path.read_text() + "# mine\n"
    path.write_text(changed)
    backup = merge_into(path, OURS)
    assert backup is not None
    assert backup.read_text() == changed
    assert len(list(tmp_path.iterdir())) == 2


def test_a_new_file_is_private(tmp_path):
    path = tmp_path / "openstack" / "clouds.yaml"
    assert merge_into(path, OURS) is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert yaml.safe_load(path.read_text()) == {"clouds": OURS}


def test_a_symlink_stays_one(tmp_path):
    real, link = tmp_path / "real.yaml", tmp_path / "clouds.yaml"
    real.write_text(OTHERS)
    link.symlink_to(real)
    merge_into(link, OURS)
    assert os.path.islink(link)
    assert "aerostat-demo" in real.read_text()


def test_files_below_the_state_folder(tmp_path):
    folder = StateFolder(tmp_path / "s")
    folder.create()
    secrets = folder.ensure_secrets()
    config = load(folder, environ={}, port=1234)
    write_client_files(config)
    assert yaml.safe_load(folder.clouds.read_text()) == {"clouds": entries(config)}
    auth = entries(config)["aerostat-demo"]["auth"]
    assert (auth["username"], auth["password"]) == ("demo", secrets.demo_password)
    assert auth["auth_url"] == "http://127.0.0.1:1234/identity/v3"
    assert stat.S_IMODE(folder.clouds.stat().st_mode) == stat.S_IMODE(folder.openrc.stat().st_mode) == 0o600


def test_a_purged_cloud_is_forgotten_and_others_keep_every_byte(tmp_path):
    path = tmp_path / "clouds.yaml"
    path.write_text(OTHERS)
    merge_into(path, OURS)
    assert take_out(path, {"aerostat": {"auth": {"password": "of another cloud"}}}) is False
    assert take_out(path, OURS)
    left = path.read_text()
    assert list(yaml.safe_load(left)["clouds"]) == ["work", "home"]
    assert "    work:      # the big one\n        auth: {username: me}   # flow inside\n" in left
    assert "password" not in left
    assert not take_out(path, OURS)


def test_a_file_with_nothing_but_ours_stays_a_file(tmp_path):
    path = tmp_path / "clouds.yaml"
    merge_into(path, OURS)
    take_out(path, OURS)
    assert yaml.safe_load(path.read_text()) == {"clouds": {}}
    assert not take_out(tmp_path / "absent.yaml", OURS)
    merge_into(path, OURS)
    assert yaml.safe_load(path.read_text()) == {"clouds": OURS}


def test_clients_can_read_what_is_left_when_the_last_cloud_goes(tmp_path):
    """They fail on a `clouds:` with nothing behind it, whatever cloud they are told of otherwise."""
    path = tmp_path / "clouds.yaml"
    path.write_text(f"# mine\n{yaml.safe_dump({'clouds': OURS, 'cache': {'expiration': 5}})}")
    take_out(path, OURS)
    assert path.read_text().startswith("# mine\n")
    assert yaml.safe_load(path.read_text()) == {"clouds": {}, "cache": {"expiration": 5}}
    loader = openstack.config.OpenStackConfig(config_files=[str(path)], vendor_files=[], secure_files=[])
    assert "aerostat" not in loader.get_cloud_names()
