"""Build the documentation as HTML, into docs/_build of the checkout; every warning is an error."""

import argparse
import subprocess
import sys

from aerostat.cli.checkout import checkout, need


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", metavar="DIR", help="where to (default: docs/_build)")


def run(args: argparse.Namespace) -> int:
    need("sphinx", "myst_parser", "furo")
    source = checkout() / "docs"
    target = args.output or str(source / "_build")
    words = ["-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(source), target]
    code = subprocess.run([sys.executable, *words]).returncode
    if code == 0:
        print(f"{target}/index.html")
    return code
