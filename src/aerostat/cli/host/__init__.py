"""Compute hosts: let them in, look at them, empty them, take them out.

aerostat host token NAME      on a control machine: a token that lets one machine in as NAME
aerostat host join            on the new machine: reads the token from standard input
aerostat host list            all hosts, and what is wrong with them
aerostat host drain NAME      no new servers there; --move sends those that are there to others, --stop stops them
aerostat host remove NAME     out of the cloud; refused while servers are there, unless --force
"""

import argparse
import importlib

from aerostat.kernel.config import ConfigError

VERBS = {
    "token": "make the token with which one machine joins",
    "join": "make this machine a compute host",
    "list": "show the hosts",
    "drain": "give a host no new servers",
    "undrain": "give it new servers again",
    "remove": "take a host out of the cloud",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "verb", choices=VERBS, help="; ".join(f"{verb}: {text}" for verb, text in VERBS.items())
    )
    parser.add_argument("name", nargs="?", help="the host's name")
    parser.add_argument("--token-file", metavar="FILE", help="join: read the token from here")
    parser.add_argument("--renew", action="store_true", help="token: a new one; the one before ends")
    parser.add_argument("--reason", default="", help="drain: shown to users whose servers find no host")
    parser.add_argument("--stop", action="store_true", help="drain: stop the servers that are there")
    parser.add_argument(
        "--move", action="store_true", help="drain: send the servers that are there to other hosts"
    )
    parser.add_argument(
        "--at-once", type=int, default=2, metavar="N", help="drain --move: so many servers at a time (2)"
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=3600.0,
        metavar="SECONDS",
        help="drain --move: wait no longer than this (3600); what was begun goes on",
    )
    parser.add_argument(
        "--force", action="store_true", help="remove: though servers are there, which are lost"
    )
    parser.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="list: how to show it"
    )


def run(args: argparse.Namespace) -> int:
    if args.name is None and args.verb not in ("join", "list"):
        raise ConfigError(f"aerostat host {args.verb} NAME: which host?")
    module = importlib.import_module(f"aerostat.cli.host.{'drain' if args.verb == 'undrain' else args.verb}")
    return int(module.run(args) or 0)
