"""An image that two projects use: imported by one, shared with the other, who accepts it.

    python examples/share_image.py disk.qcow2 --cloud aerostat-demo --with aerostat

`--with` is a cloud of clouds.yaml whose project gets the image. What was made stays; delete the image to undo it.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import openstack
from openstack.connection import Connection

LIMIT_S = 600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--format", default="qcow2", help="what the file is")
    parser.add_argument("--cloud", default="aerostat-demo", help="who has the image")
    parser.add_argument("--with", default="aerostat", dest="other", help="who shall use it")
    options = parser.parse_args()
    with openstack.connect(cloud=options.cloud) as owner, openstack.connect(cloud=options.other) as other:
        share(owner, other, options.file, options.format)


def share(owner: Connection, other: Connection, file: Path, disk_format: str) -> Any:
    """Answers the image, as the other project sees it. Raises `RuntimeError` with the cloud's own reason."""
    image = owner.image.create_image(
        name=file.name, disk_format=disk_format, container_format="bare", visibility="shared"
    )
    owner.image.stage_image(image, filename=str(file))
    owner.image.import_image(image, method="glance-direct")
    image = follow(owner, image)
    print(f"{image.name} is {image.status}: {image.size} bytes")

    project = other.current_project_id
    owner.image.add_member(image, member_id=project)
    print(f"in the other's list: {image.id in [one.id for one in other.image.images()]}")
    other.image.update_member(project, image, status="accepted")
    print(f"once accepted: {image.id in [one.id for one in other.image.images()]}")
    return other.image.get_image(image.id)


def follow(connection: Connection, image: Any) -> Any:
    """The image once its import has ended; the task tells how far it is."""
    ends_s = time.monotonic() + LIMIT_S
    while time.monotonic() < ends_s:
        image = connection.image.get_image(image.id)
        task = list(connection.image.image_tasks(image))[-1]
        if task.status == "success":
            return image
        if task.status == "failure":
            raise RuntimeError(f"{image.name} was not imported: {task.message}")
        time.sleep(0.2)
    raise RuntimeError(f"{image.name} was not imported within {LIMIT_S:.0f} s: {task.message}")


if __name__ == "__main__":
    main()
