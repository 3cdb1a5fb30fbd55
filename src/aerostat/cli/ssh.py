"""Log in to a server over its floating IP, with the system's own ssh:

    aerostat ssh SERVER -i KEY -- hostname

The connection is made inside the cloud's external network, so the machine's own network needs no route. The
host key is not checked: addresses are given to new servers again and again, and the way there is inside this
machine.
"""

import argparse
import os
import shlex
import shutil
import sys

from aerostat.cli import CommandError
from aerostat.cli.servers import reachable_address
from aerostat.cli.settings import kernel_settings_of
from aerostat.kernel.state_folder import StateFolder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("server", metavar="SERVER", help="name or id")
    parser.add_argument(
        "-l", "--login", default="cloud", metavar="USER", help="user in the guest (default: cloud)"
    )
    parser.add_argument("-i", "--identity", metavar="FILE", help="private key of the server's key pair")
    parser.add_argument("-p", "--port", type=int, default=22)
    parser.usage = "aerostat ssh SERVER [-l USER] [-i FILE] [-p PORT] [--state DIR] [-- CMD …]"


def run(args: argparse.Namespace) -> int:
    if shutil.which("ssh") is None:
        raise CommandError("there is no ssh here (Debian: apt-get install openssh-client)")
    config = kernel_settings_of(args)
    address = reachable_address(config, args.server)
    if sys.stderr.isatty():
        print(f"aerostat: {args.server} is {address}; host keys are not checked", file=sys.stderr)
    words = command_line(config.folder, address, args.login, args.port, args.identity, args.behind)
    sys.stdout.flush()
    os.execvp(words[0], words)


def command_line(
    folder: StateFolder, address: str, login: str, port: int, identity: str | None, command: list[str]
) -> list[str]:
    """The system's ssh, told to go through us."""
    own_words = [sys.executable, "-m", "aerostat", "proxy-connect", "--state", str(folder.path)]
    # In ssh's own language a percent sign begins a place holder.
    proxy = shlex.join(own_words).replace("%", "%%") + " %h %p"
    options = {
        "ProxyCommand": proxy,
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
    }
    words = ["ssh", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]
    if identity:
        words += ["-i", identity, "-o", "IdentitiesOnly=yes"]
    return [*words, "-l", login, "-p", str(port), address, *(["--", *command] if command else [])]
