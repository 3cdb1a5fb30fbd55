"""Who may do what here: every rule with its default, and whether a policy file fits them.

aerostat policy sample          every rule of every room, commented out: a policy.yaml to begin with
aerostat policy check [FILE]    what is wrong with a policy file (STATE/policy.yaml unless named)

A running cloud looks at STATE/policy.yaml once a second and takes a change over; a broken file changes nothing.
"""

import argparse
import difflib
from collections.abc import Iterator
from pathlib import Path

from aerostat.cli import CommandError
from aerostat.cli.settings import kernel_settings_of
from aerostat.kernel.policy import Rules
from aerostat.kernel.policy.language import mistakes, parse
from aerostat.kernel.policy.rules import FALLBACK, PolicyFileError, read_policy_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "verb", choices=("sample", "check"), help="sample: print all rules; check: look through a file"
    )
    parser.add_argument("file", nargs="?", type=Path, help="check: the file, YAML or JSON")


def run(args: argparse.Namespace) -> int:
    rules = declared()
    if args.verb == "sample":
        print(rules.sample())
        return 0
    file = args.file or kernel_settings_of(args).state / "policy.yaml"
    wrong = list(complaints(rules, file))
    for complaint in wrong:
        print(complaint)
    if not wrong:
        print(f"{file} fits the rules of this cloud.")
    return 1 if wrong else 0


def declared() -> Rules:
    """The rules of all rooms, less what an operator wrote."""
    from aerostat.app import rooms  # takes a while, and most commands need none of it

    rules = Rules()
    for door in rooms():
        rules.declare(door.rules)
    return rules


def complaints(rules: Rules, file: Path) -> Iterator[str]:
    """Raises `CommandError` for a file that cannot be read as rules at all."""
    try:
        texts = read_policy_file(file)
    except PolicyFileError as error:
        raise CommandError(str(error)) from None
    nodes = {name: parse(text) for name, text in texts.items()}
    referred = {reference for node in nodes.values() for reference in node.references()}
    for name, node in nodes.items():
        for mistake in mistakes(node):
            yield f"{name}: {mistake}"
        if name not in rules.names and name not in referred and name != FALLBACK:
            near = difflib.get_close_matches(name, rules.names, 1)
            yield f"{name}: nobody asks for this rule" + (f"; is it {near[0]}?" if near else "")
    for name in sorted(referred - nodes.keys() - set(rules.names)):
        yield f"rule:{name} is referred to, and there is no such rule"
