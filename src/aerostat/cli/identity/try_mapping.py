"""`aerostat identity try-mapping`: apply a mapping to what an identity provider might say; show who that is here."""

import argparse
import json
import sys
from pathlib import Path

import msgspec
import yaml

from aerostat.cli import CommandError
from aerostat.kernel.errors import BadRequest
from aerostat.services.identity.mapping import MappingError, apply, check_rules
from aerostat.services.identity.mapping_schema import DEFAULT_VERSION


def run(args: argparse.Namespace) -> int:
    if args.file is None:
        raise CommandError("try-mapping needs the file with the mapping")
    try:
        text = sys.stdin.read() if args.file == "-" else Path(args.file).read_text()
        mapping = yaml.safe_load(text)
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise CommandError(f"{args.file}: {error}") from None
    if isinstance(mapping, list):  # the rules by themselves, as the official client takes them
        mapping = {"rules": mapping}
    if not isinstance(mapping, dict):
        raise CommandError(f"{args.file}: no mapping, and no list of rules")
    said = dict(one.partition("=")[::2] for one in args.says)
    version = str(mapping.get("schema_version", DEFAULT_VERSION))
    try:
        check_rules(mapping.get("rules"), version)
        mapped = apply(mapping["rules"], said, version)
    except (BadRequest, MappingError) as error:
        raise CommandError(str(error)) from None
    print(json.dumps(msgspec.to_builtins(mapped), indent=2))
    return 0
