"""An image of a real server, through the whole cloud: what was written in the first guest is read in the second, and
a server that is put on the shelf keeps its disk.
"""

import pytest

from tests.metal.real_cloud import real_cloud, why_no_real_cloud
from tests.waiting import eventually

pytestmark = [
    pytest.mark.metal,
    pytest.mark.guest,
    pytest.mark.skipif(bool(why_no_real_cloud()), reason=why_no_real_cloud() or "-"),
]

BOOT_LIMIT_S = 180.0


@pytest.fixture
def cloud():
    with real_cloud("as-img-") as cloud:
        yield cloud


def boot(demo, name, image, script):
    return demo.create_server(
        name,
        image=image,
        flavor=demo.compute.find_flavor("m1.nano"),
        network=["private"],
        userdata=f"#!/bin/sh\n{script}\n",
        auto_ip=False,
        wait=True,
        timeout=90,
    )


def says(demo, server, text):
    eventually(
        lambda: text in str(demo.compute.get_server_console_output(server.id)["output"]),
        limit_s=BOOT_LIMIT_S,
        every_s=1.0,
    )


def test_what_was_written_is_in_the_image_and_comes_back_from_the_shelf(cloud):
    with cloud.connect("demo") as demo:
        pristine = demo.image.find_image("aerostat-test")
        first = boot(demo, "first", pristine, "echo kept > /root/kept; sync; echo written")
        says(demo, first, "written")
        image = demo.create_image_snapshot("copy", first, wait=True, timeout=120)
        assert demo.image.get_image(image.id).disk_format == "qcow2"
        assert demo.compute.get_server(first.id).status == "ACTIVE"

        demo.compute.shelve_server(first)
        demo.compute.wait_for_server(demo.compute.get_server(first.id), "SHELVED_OFFLOADED", wait=180)
        assert cloud.left().domains == set()

        second = boot(demo, "second", image, "echo it says $(cat /root/kept)")
        says(demo, second, "it says kept")
        demo.compute.delete_server(second)

        demo.compute.unshelve_server(first)
        demo.compute.wait_for_server(demo.compute.get_server(first.id), "ACTIVE", wait=120)
        says(demo, first, "login:")
        assert [one.name for one in demo.image.images(visibility="private")] == ["copy"]
