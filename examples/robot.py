"""A program with rights of its own: an application credential that may look at servers and do nothing else.

    python examples/robot.py                  # the cloud called `aerostat-demo` in clouds.yaml

Makes the credential as the user, logs in with it as a program would, shows what it may and what it may not, and takes
it away: from that moment its tokens are no longer good.
"""

import argparse
from collections.abc import Callable

import openstack
from keystoneauth1.exceptions import ClientException
from openstack.connection import Connection
from openstack.exceptions import SDKException

MAY = [
    {"service": "compute", "method": "GET", "path": "/v2.1/servers"},
    {"service": "compute", "method": "GET", "path": "/v2.1/servers/**"},
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cloud", default="aerostat-demo", help="its name in clouds.yaml")
    options = parser.parse_args()
    with openstack.connect(cloud=options.cloud) as connection:
        live(connection)


def live(connection: Connection, name: str = "robot") -> None:
    """From its making to its end."""
    user_id = connection.current_user_id
    credential = connection.identity.create_application_credential(
        user_id, name, description="looks at servers", roles=[{"name": "reader"}], access_rules=MAY
    )
    # The secret is shown this once: it belongs into the program's own settings.
    with log_in(connection, credential.id, credential.secret) as robot:
        print(f"servers: {[server.name for server in robot.compute.servers(details=False)]}")
        print(f"networks: {attempt(lambda: list(robot.network.networks()))}")
        connection.identity.delete_application_credential(user_id, credential)
        print(f"afterwards: {attempt(lambda: list(robot.compute.servers(details=False)))}")


def log_in(connection: Connection, id: str, secret: str) -> Connection:
    """As the program: neither user name nor password nor project, for the credential says it all."""
    return openstack.connect(
        auth_type="v3applicationcredential",
        auth={
            "auth_url": connection.config.auth["auth_url"],
            "application_credential_id": id,
            "application_credential_secret": secret,
        },
        region_name=connection.config.region_name,
    )


def attempt(ask: Callable[[], list[object]]) -> str:
    try:
        return f"{len(ask())} seen"
    except (SDKException, ClientException):
        return "refused"


if __name__ == "__main__":
    main()
