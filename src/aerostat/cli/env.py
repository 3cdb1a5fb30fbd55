"""Print the lines that point OpenStack clients at this cloud:

    eval "$(aerostat env)"

Works whether the cloud runs or not.
"""

import argparse
import shlex

from aerostat.cli import CommandError
from aerostat.cli.settings import kernel_settings_of
from aerostat.kernel.config import Config

# A client prefers each of these to what we set, or refuses the two together.
CONFLICTING = (
    "OS_CLOUD",
    "OS_TOKEN",
    "OS_AUTH_TYPE",
    "OS_PROJECT_ID",
    "OS_TENANT_NAME",
    "OS_TENANT_ID",
    "OS_DOMAIN_NAME",
    "OS_DOMAIN_ID",
    "OS_SYSTEM_SCOPE",
    "OS_USER_ID",
    "OS_USER_DOMAIN_ID",
    "OS_PROJECT_DOMAIN_ID",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", default="admin", help="admin or demo (default: admin)")


def run(args: argparse.Namespace) -> int:
    print(openrc(kernel_settings_of(args), args.user), end="")
    return 0


def openrc(config: Config, user: str = "admin") -> str:
    """Shell lines, safe to evaluate whatever the values are."""
    lines = [f"unset {' '.join(CONFLICTING)}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables(config, user).items()]
    return "\n".join(lines) + "\n"


def variables(config: Config, user: str = "admin") -> dict[str, str]:
    """What clients read from the environment, for one of the two users that every cloud begins with."""
    secrets = config.folder.secrets()
    passwords = {"admin": secrets.admin_password, "demo": secrets.demo_password}
    if user not in passwords:
        raise CommandError(f"the passwords of {' and '.join(passwords)} are known here, not of {user}")
    return {
        "OS_AUTH_URL": f"{config.kernel.public_url}/identity/v3",
        "OS_USERNAME": user,
        "OS_PASSWORD": passwords[user],
        "OS_PROJECT_NAME": user,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": config.kernel.region,
        "OS_IDENTITY_API_VERSION": "3",
    }
