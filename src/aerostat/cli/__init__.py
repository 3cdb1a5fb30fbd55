"""The command line: a table of names, and nothing loaded but the command that was typed.

Each command is a module with `add_arguments(parser)` and `run(args) -> exit code`. What a user must know
stands on standard output; progress and complaints go to standard error. A command that cannot do its work
raises `CommandError`, whose text is all that the user sees.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple


class CommandError(Exception):
    """What went wrong and what to do about it, in words for the person at the terminal."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Command(NamedTuple):
    module: str
    help: str
    shown: bool = True


COMMANDS = {
    "up": Command("up", "start the cloud"),
    "down": Command("down", "stop the cloud and everything that belongs to it"),
    "status": Command("status", "what runs, where it listens, what it can do"),
    "env": Command("env", "print the lines that point OpenStack clients at this cloud"),
    "logs": Command("logs", "show the logs of all processes by time, or those of one request"),
    "ssh": Command("ssh", "log in to a server over its floating IP"),
    "forward": Command("forward", "make a port of a server reachable on this machine"),
    "explain": Command("explain", "tell what happened to a request or a resource, and why"),
    "doctor": Command("doctor", "look for what is wrong and say what to do"),
    "test": Command("test", "run the tests of one ring"),
    "sim": Command("sim", "live through simulated lives of a cloud, with misfortune"),
    "check": Command("check", "format, lint, types and borders of the source"),
    "docs": Command("docs", "build the documentation"),
    "serve": Command("serve", "run the roles of one process in the foreground"),
    "migrate": Command("migrate", "bring the database to the present shape"),
    "bootstrap": Command("bootstrap", "make the first user, networks and flavors of a cloud, once"),
    "identity": Command(
        "identity", "users, projects and roles from and to a file; the keys that seal tokens"
    ),
    "policy": Command("policy", "who may do what: every rule, and whether a policy file fits"),
    "object": Command("object", "an object store of its own; rings, devices and daemons of any"),
    "host": Command("host", "let compute hosts into the cloud, look at them, take them out"),
    "guest": Command("guest", "build the test guest's image"),
    "proxy-connect": Command(
        "proxy_connect", "join standard input and output to a port in the cloud", shown=False
    ),
}


def typed() -> str:
    """How the user called us, for hints that can be copied: the launcher tells."""
    return os.environ.get("AEROSTAT_COMMAND", "aerostat")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    # What is read from a pipe that closed early (`aerostat logs | head`) is no error of ours.
    try:
        return _main(words)
    except CommandError as error:
        from aerostat.cli.plain import plain

        print(plain(f"aerostat: {error}"), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except KeyboardInterrupt:
        return 130


def _main(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] in ("-V", "--version"):
        from aerostat import __version__

        print(f"aerostat {__version__}")
        return 0
    name, *rest = words
    if name not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(name, COMMANDS, n=1)
        raise CommandError(f"no command {name}; " + (f"did you mean {near[0]}?" if near else "see --help"), 2)
    return _run(name, rest)


def _run(name: str, words: list[str]) -> int:
    import argparse

    from aerostat.kernel.config import ConfigError
    from aerostat.kernel.state_folder import StateFolderError

    command = COMMANDS[name]
    module = importlib.import_module(f"aerostat.cli.{command.module}")
    parser = argparse.ArgumentParser(
        prog=f"aerostat {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--state", metavar="DIR", help="the cloud's folder (default: $AEROSTAT_STATE)")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="its settings (default: $AEROSTAT_CONFIG, else aerostat.toml in the folder)",
    )
    module.add_arguments(parser)
    # argparse gives up on positionals once options came between; what is behind `--` is for somebody else anyway.
    end = words.index("--") if "--" in words else len(words)
    args = parser.parse_args(words[:end])
    args.behind = words[end + 1 :]
    try:
        return int(module.run(args) or 0)
    except (ConfigError, StateFolderError) as error:
        raise CommandError(str(error)) from None


def overview() -> str:
    """All commands, one a line."""
    shown = {name: command for name, command in COMMANDS.items() if command.shown}
    width = max(map(len, shown)) + 2
    lines = [f"  {name:<{width}}{command.help}" for name, command in shown.items()]
    return (
        "usage: aerostat COMMAND [OPTION …]\n\nA whole cloud operating system in one program.\n\n"
        + "\n".join(lines)
        + "\n\naerostat COMMAND --help tells more. The cloud's folder is --state DIR, else $AEROSTAT_STATE,"
        + "\nelse ~/.local/state/aerostat."
    )
