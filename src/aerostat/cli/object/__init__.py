"""The object store: alone with one command, and what its operators look at, alone or in a cloud.

aerostat object up            a store of its own, with its own users; --devices D1 D2 … --replicas N
aerostat object down          stop it
aerostat object ring          the rings: show them, add and remove devices, rebalance
aerostat object nodes PATH    which devices hold ACCOUNT[/CONTAINER[/OBJECT]], and what they have
aerostat object info          what the store offers
aerostat object verify        read everything on this machine's devices and name what is damaged
aerostat object recon         what the daemons did, and how full the devices are
"""

import argparse
import importlib
from pathlib import Path
from typing import Any

from aerostat.cli.settings import file_of, folder_of, settings_of
from aerostat.kernel.config import Config, ConfigError, load
from aerostat.kernel.state_folder import StateFolder

VERBS = {
    "up": "start a store of its own",
    "down": "stop it",
    "serve": "",
    "ring": "look at the rings, and change them",
    "nodes": "show which devices hold a path",
    "info": "show what the store offers",
    "verify": "read everything and name what is damaged",
    "recon": "show what the daemons did, and how full devices are",
}
OWN_FOLDER = "object-store"
"""Beside the folder of a cloud: a store of its own does not get in the way of one."""
PROCESS = "object"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Verb)
    for verb, text in VERBS.items():
        shown: Any = {"help": text} if text else {}
        below = verbs.add_parser(verb, **shown, formatter_class=argparse.RawDescriptionHelpFormatter)
        below.verb = verb
        below.add_argument("--state", metavar="DIR", default=argparse.SUPPRESS, help="the store's folder")
        below.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="its settings")


class Verb(argparse.ArgumentParser):
    """Loads its command when it is the one that was given: a process that serves needs none of the others."""

    verb: str

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        module = importlib.import_module(f"aerostat.cli.object.{self.verb}")
        self.description = module.__doc__
        module.add_arguments(self)
        return super().parse_known_args(args, namespace)


def run(args: argparse.Namespace) -> int:
    if args.state is None:
        args.state = default_folder(args.verb)
    module = importlib.import_module(f"aerostat.cli.object.{args.verb}")
    return int(module.run(args))


def default_folder(verb: str) -> str:
    """A cloud's folder if it has a store and nothing else is there; else the folder of a store of its own."""
    cloud = StateFolder.chosen()
    own = cloud.path.with_name(OWN_FOLDER)
    if (
        verb not in ("up", "down", "serve")
        and not own.exists()
        and (places_folder(cloud.path) / "secret").exists()
    ):
        return str(cloud.path)
    return str(own)


def store_settings_of(args: argparse.Namespace, **overrides: Any) -> Config:
    """The kernel's section and the store's. Other services' are read where there are any: they cost their code."""
    from aerostat.services.object.config import ObjectConfig

    try:
        return load(folder_of(args), {"object": ObjectConfig}, file=file_of(args), **overrides)
    except ConfigError:  # a section of another service; or something wrong, which is told in the light of all
        return settings_of(args, **overrides)


def places_folder(state: Path) -> Path:
    """Where in a state folder the store is."""
    return state / "object"
