"""A department that runs itself: a domain with a manager, who makes projects and lets people in, within limits.

    python examples/lab.py                    # the cloud called `aerostat-admin` in clouds.yaml

The administrator makes the domain, its manager and a limit, and then has no more to do with it: the manager makes a
project and a user and gives roles, of those that a manager may give. Everything is taken away at the end.
"""

import argparse
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import openstack
from keystoneauth1.exceptions import ClientException
from openstack.connection import Connection
from openstack.exceptions import SDKException
from openstack.resource import Resource


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cloud", default="aerostat-admin", help="its name in clouds.yaml")
    options = parser.parse_args()
    with openstack.connect(cloud=options.cloud) as connection:
        live(connection)


def live(admin: Connection, name: str = "lab") -> None:
    """From its making to its end."""
    password = secrets.token_urlsafe()
    with a_domain(admin, name) as domain, a_limit(admin, "image_count_total") as limit_to:
        user = admin.identity.create_user(name="ada", password=password, domain_id=domain.id)
        admin.identity.assign_domain_role_to_user(domain, user, role(admin, "manager"))
        with log_in(admin, user.id, password, domain_id=domain.id) as ada:
            project = ada.identity.create_project(name="bench", domain_id=domain.id)
            bob = ada.identity.create_user(name="bob", password=password, domain_id=domain.id)
            ada.identity.assign_project_role_to_user(project, bob, role(ada, "member"))
            print(f"ada sees: {sorted(one.name for one in ada.identity.users(domain_id=domain.id))}")
            print(f"ada makes an administrator: {attempt(lambda: make_admin(admin, ada, project, bob))}")
        limit_to(project.id, 1)
        with log_in(admin, bob.id, password, project_id=project.id) as working:
            for number in (1, 2):
                print(f"bob's image {number}: {attempt(lambda: an_image(working))}")
            for image in working.image.images(owner=project.id):
                working.image.delete_image(image)


def role(connection: Connection, name: str) -> Resource:
    return next(iter(connection.identity.roles(name=name)))


def make_admin(admin: Connection, manager: Connection, project: Resource, user: Resource) -> None:
    wanted = role(admin, "admin")
    manager.identity.assign_project_role_to_user(project, user, wanted)  # says nothing when it is refused
    given = admin.identity.role_assignments(user_id=user.id, scope_project_id=project.id, role_id=wanted.id)
    if not list(given):
        raise SDKException("the role was not given")


def an_image(connection: Connection) -> None:
    connection.image.create_image("one", disk_format="raw", container_format="bare", data=b"some", wait=True)


@contextmanager
def a_domain(admin: Connection, name: str) -> Iterator[Resource]:
    """A domain goes with all that is in it, once it is disabled."""
    domain = admin.identity.create_domain(name=name)
    try:
        yield domain
    finally:
        admin.identity.update_domain(domain, is_enabled=False)
        admin.identity.delete_domain(domain)


@contextmanager
def a_limit(admin: Connection, resource: str) -> Iterator[Callable[[str, int], object]]:
    """No limit for anybody, but for those whom the yielded function names."""
    what = {"service_id": next(iter(admin.identity.services(type="image"))).id, "resource_name": resource}
    registered = admin.identity.create_registered_limit(**what, default_limit=-1)
    made: list[object] = []

    def limit_to(project_id: str, most: int) -> None:
        made.append(admin.identity.create_limit(**what, project_id=project_id, resource_limit=most))

    try:
        yield limit_to
    finally:
        for limit in made:
            admin.identity.delete_limit(limit)
        admin.identity.delete_registered_limit(registered)


def log_in(connection: Connection, user_id: str, password: str, **scope: str) -> Connection:
    return openstack.connect(
        auth_type="v3password",
        auth={
            "auth_url": connection.config.auth["auth_url"],
            "user_id": user_id,
            "password": password,
            **scope,
        },
        region_name=connection.config.region_name,
    )


def attempt(ask: Callable[[], object]) -> str:
    try:
        ask()
    except (SDKException, ClientException):
        return "refused"
    return "done"


if __name__ == "__main__":
    main()
