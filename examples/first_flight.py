"""First flight with openstacksdk: a machine of your own, made by a template, in one Python program.

    python examples/first_flight.py                  # the cloud called `aerostat-demo` in clouds.yaml
    python examples/first_flight.py --cloud mine --keep

It makes a key pair, hands `first-flight.yaml` to the cloud, waits until the machine has called back, shows what it said
and its console's last lines, and takes everything away again.
"""

import argparse
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openstack
from openstack.connection import Connection

TEMPLATE = Path(__file__).with_name("first-flight.yaml")
BOOT_LIMIT_S = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cloud", default="aerostat-demo", help="its name in clouds.yaml")
    parser.add_argument("--name", default="first", help="what the stack is called")
    parser.add_argument("--keep", action="store_true", help="leave the machine running")
    options = parser.parse_args()
    with openstack.connect(cloud=options.cloud) as connection:
        fly(connection, options.name, keep=options.keep)


def fly(connection: Connection, name: str, *, keep: bool = False) -> dict[str, Any]:
    """The whole story; answers the stack's outputs. Raises `RuntimeError` with the cloud's own reason."""
    with key_pair(connection, name, keep=keep) as key_name:
        template = TEMPLATE.read_text()
        stack = connection.orchestration.create_stack(
            name=name, template=template, parameters={"key_name": key_name}
        )
        print(f"stack {name} is {stack.id}")
        try:
            return show(connection, follow(connection, stack.id))
        finally:
            if not keep:
                take_away(connection, stack.id)


@contextlib.contextmanager
def key_pair(connection: Connection, name: str, *, keep: bool) -> Iterator[str]:
    """A key pair for the machine; its private half in a file of this folder as long as it is of use."""
    pair = connection.compute.create_keypair(name=name)
    file = Path(f"{name}.pem")
    file.touch(mode=0o600)
    file.write_text(pair.private_key)
    try:
        yield name
    finally:
        if keep:
            print(f"log in: aerostat ssh -i {file} SERVER")
        else:
            connection.compute.delete_keypair(name)
            file.unlink()


def follow(connection: Connection, stack_id: str) -> Any:
    """Print what happens until the stack is complete."""
    told: set[str] = set()
    ends_s = time.monotonic() + BOOT_LIMIT_S
    while time.monotonic() < ends_s:
        stack = connection.orchestration.get_stack(stack_id)
        for event in connection.orchestration.stack_events(stack):
            if event.id not in told:
                told.add(event.id)
                print(f"  {event.resource_name:<16} {event.resource_status}")
        if stack.status == "CREATE_COMPLETE":
            return stack
        if stack.status == "CREATE_FAILED":
            raise RuntimeError(stack.status_reason)
        time.sleep(0.5)
    raise RuntimeError(f"the machine did not call back within {BOOT_LIMIT_S:.0f} s")


def show(connection: Connection, stack: Any) -> dict[str, Any]:
    """What the stack tells, and the last lines of the machine's console."""
    outputs = {one["output_key"]: one["output_value"] for one in stack.outputs}
    for name, value in outputs.items():
        print(f"{name}: {value}")
    for resource in connection.orchestration.resources(stack, name="machine"):
        console = connection.compute.get_server_console_output(resource.physical_resource_id, length=10)
        print(console["output"])
    return outputs


def take_away(connection: Connection, stack_id: str) -> None:
    """Delete the stack and wait until it is gone."""
    connection.orchestration.delete_stack(stack_id)
    while connection.orchestration.find_stack(stack_id) is not None:
        time.sleep(0.5)
    print("all is taken away again")


if __name__ == "__main__":
    main()
