"""Tell what happened to a request or a resource, step by step, and why.

The id is that of a request (req-…, in every answer's X-Openstack-Request-Id) or of a resource; names of
stacks and servers work too. What is shown comes from the operation record, as the API gives it to this
user.
"""

import argparse
import contextlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from aerostat.cli import CommandError
from aerostat.cli.api import Api, ApiFailed
from aerostat.cli.settings import kernel_settings_of
from aerostat.kernel.ids import is_uuid

# Where things with names are found: service, path, and the key of the list in the answer.
NAMED = (
    ("orchestration", "/stacks?name={name}", "stacks"),
    ("compute", "/servers?name={name}", "servers"),
    ("network", "/v2.0/networks?name={name}", "networks"),
    ("network", "/v2.0/routers?name={name}", "routers"),
    ("network", "/v2.0/ports?name={name}", "ports"),
    ("image", "/v2/images?name={name}", "images"),
)
BAD = {"failed", "refused"}
SIGNS = {
    "done": "+",
    "accepted": "+",
    "started": ".",
    "again": ".",
    "retry": "~",
    "failed": "!",
    "refused": "!",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="REQUEST-ID|RESOURCE")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")


def run(args: argparse.Namespace) -> int:
    with Api.as_user(kernel_settings_of(args)) as api:
        answer = api.get("", f"/aerostat/v1/explain/{quote(find_id(api, args.id), safe='')}")
    if args.output == "json":
        print(json.dumps(answer, indent=2))
    else:
        print("\n".join(timeline(answer["timeline"])))
    return 0


def find_id(api: Api, text: str) -> str:
    """The id behind a name; an id stays what it is, and so does a name that only the record may still know.

    Raises `CommandError` when several things are called so.
    """
    if text.startswith("req-") or is_uuid(text):
        return text
    found: dict[str, str] = {}
    for service, path, kind in NAMED:
        # A room that is not there, or refuses this user, knows nothing of that name.
        with contextlib.suppress(ApiFailed):
            things = api.get(service, path.format(name=quote(text, safe="")))[kind]
            for thing in things:
                if text in (thing.get("name"), thing.get("stack_name")):
                    found[thing["id"]] = kind.removesuffix("s")
    if not found:
        return text
    if len(found) > 1:
        several = ", ".join(f"{kind} {id}" for id, kind in found.items())
        raise CommandError(f"{text} is the name of several things; say which by id: {several}")
    return next(iter(found))


def timeline(operations: list[dict[str, Any]]) -> Iterator[str]:
    """One block a request, one line a step; reasons and what a refusal was based on stand below their line."""
    request_id = None
    for operation in operations:
        if operation["request_id"] != request_id:
            if request_id is not None:
                yield ""
            request_id = operation["request_id"]
            by = f"   by {operation['actor']}" if operation.get("actor") else ""
            yield f"{request_id}   {str(operation['at'])[:10]}{by}"
        yield from _lines(operation)


def _lines(operation: dict[str, Any]) -> Iterator[str]:
    verdict = operation["verdict"]
    what = operation["action"] + (f" / {operation['step']}" if operation.get("step") else "")
    subject = operation.get("subject_name") or operation.get("subject_id") or ""
    took = f"{operation['took_ms']:.0f} ms" if operation.get("took_ms") is not None else ""
    sign = SIGNS.get(verdict, " ")
    columns = f"  {sign} {str(operation['at'])[11:23]:<13}{what:<40} {verdict:<11}{took:>9}  {subject}"
    yield columns.rstrip()
    indent = " " * 17
    if operation.get("reason"):
        yield f"{indent}{operation['reason']}"
    if operation.get("data") and verdict in BAD:
        yield from (indent + line for line in _data(operation["data"]))


def _data(data: Any, depth: int = 0) -> Iterator[str]:
    """Verdicts per host, sums of a quota, clauses of a policy: nested data as indented lines."""
    space = "  " * depth
    if isinstance(data, dict):
        for key, value in data.items():
            if isinstance(value, (dict, list)) and value:
                yield f"{space}{key}:"
                yield from _data(value, depth + 1)
            else:
                yield f"{space}{key}: {value}"
    elif isinstance(data, list):
        for item in data:
            if isinstance(item, (dict, list)):
                first, *rest = list(_data(item, depth + 1)) or [""]
                yield f"{space}- {first.lstrip()}"
                yield from rest
            else:
                yield f"{space}- {item}"
    else:
        yield f"{space}{data}"
