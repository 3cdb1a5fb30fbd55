"""Look for what is wrong, and say in plain words what to do about it.

Exit code 0 if nothing stands in the way of a cloud, 1 if something does. It changes nothing.
"""

import argparse
import json
import sys
import traceback

from aerostat.cli.doctor.finding import Check, Finding, Verdict
from aerostat.cli.settings import file_of, folder_of
from aerostat.kernel.config import choose_file

SIGNS: dict[Verdict, str] = {"good": "ok  ", "note": "note", "bad": "BAD "}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")


def run(args: argparse.Namespace) -> int:
    from aerostat.cli.doctor import cloud, host, machine, reach

    folder = folder_of(args)
    if (file := file_of(args)) is not None:
        choose_file(folder, file)
    checks = {**machine.CHECKS, **cloud.CHECKS, **reach.CHECKS, **host.CHECKS}
    findings = [examine(check, name, folder) for name, check in checks.items()]
    if args.output == "json":
        print(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        for finding in findings:
            print(as_text(finding))
    return 1 if any(finding.verdict == "bad" for finding in findings) else 0


def examine(check: Check, name: str, folder: object) -> Finding:
    """Run one check. A check that breaks is a finding too: what it met is what the user should see."""
    try:
        finding = check(folder)
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        finding = Finding("bad", f"the check itself broke: {error!r}", "please report this")
    finding.name = name
    return finding


def as_text(finding: Finding) -> str:
    text = f"{SIGNS[finding.verdict]}  {finding.name:<12} {finding.words}"
    return f"{text}\n{'':19}→ {finding.next_step}" if finding.next_step else text
