"""Show what a running store offers: its limits and features, as `/info` tells clients."""

import argparse
import urllib.error
import urllib.request
from typing import Any

import msgspec

from aerostat.cli import CommandError
from aerostat.cli.settings import folder_of, kernel_settings_of
from aerostat.kernel.state_folder import StateFolder

LIMIT_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as it is answered")


def run(args: argparse.Namespace) -> int:
    config = kernel_settings_of(args)
    found = asked(folder_of(args), config.kernel.public_url, "/info")
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return 0
    for section, facts in found.items():
        print(section)
        for name, value in facts.items():
            shown = (
                value if isinstance(value, str | int | float | bool) else msgspec.json.encode(value).decode()
            )
            print(f"  {name:<32} {shown}")
    return 0


def asked(folder: StateFolder, url: str, path: str) -> Any:
    """What the running store answers to a GET. Raises `CommandError`."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url + path, timeout=LIMIT_S) as answer:
            return msgspec.json.decode(answer.read())
    except urllib.error.HTTPError as error:
        raise CommandError(f"{url}{path} answers {error.code}") from None
    except (OSError, msgspec.DecodeError) as error:
        raise CommandError(
            f"no store answers at {url} ({error}); that of {folder.path} is not running?"
        ) from None
