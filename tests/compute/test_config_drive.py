"""The CD with the metadata: read back as guests read it."""

from io import BytesIO

import pycdlib

from aerostat.services.compute.drivers.libvirt.config_drive import LABEL, build_config_drive

FILES = {
    "openstack/latest/meta_data.json": b'{"uuid": "x"}',
    "openstack/latest/user_data": b"#!/bin/sh\n" + b"x" * 70_000,
    "openstack/2018-08-27/meta_data.json": b"{}",
    "openstack/content/0000": b"",
    "ec2/latest/meta-data.json": b"[]",
}


def test_names_and_contents_come_back(tmp_path):
    path = tmp_path / "config.iso"
    build_config_drive(FILES, path)
    iso = pycdlib.PyCdlib()
    iso.open(str(path))
    for name, content in FILES.items():
        for names in ("rr_path", "joliet_path"):
            out = BytesIO()
            iso.get_file_from_iso_fp(out, **{names: f"/{name}"})
            assert out.getvalue() == content
    iso.close()


def test_the_volume_has_the_label_that_guests_look_for(tmp_path):
    path = tmp_path / "config.iso"
    build_config_drive({}, path)
    primary_volume = path.read_bytes()[16 * 2048 :][:2048]
    assert primary_volume[1:6] == b"CD001"
    assert primary_volume[40:72].decode().rstrip() == LABEL == "config-2"
