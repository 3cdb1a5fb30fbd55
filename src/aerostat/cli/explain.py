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
from aerostat.cli.plain import plain
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
MOST_LINES = 200  # of a stack's tree
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
        print(plain("\n".join(story(answer))))
    return 0


def story(answer: dict[str, Any]) -> Iterator[str]:
    """Of a stack first why it failed, then what became of each thing in it, then what was asked of it when."""
    stack = answer.get("stack")
    if stack is not None:
        yield f"{stack['stack']}   {stack['status']}"
        if stack["failure"]:
            yield f"  ! {stack['failure']}"
        yield ""
        lines = [*tree(stack["resources"]), *gone(stack["gone"])]
        yield from lines[:MOST_LINES]
        if len(lines) > MOST_LINES:
            yield f"… {len(lines) - MOST_LINES} more lines: --output json has them all"
        if lines:
            yield ""
    yield from timeline(answer["timeline"])


def tree(resources: list[dict[str, Any]], depth: int = 0) -> Iterator[str]:
    """Each resource with its state, why it failed, what is recorded of it, and the resources below it."""
    space = "  " * (depth + 1)
    for one in resources:
        failed = one["status"].endswith("FAILED")
        columns = f"{one['name']}   {one['type']}   {one['status']}   {one['id']}"
        yield f"{space[2:]}{'!' if failed else '+'} {columns}".rstrip()
        if failed and one["reason"]:
            yield f"{space}  {one['reason']}"
        yield from _records(one, space + "  ")
        yield from tree(one.get("resources", []), depth + 1)


def gone(things: list[dict[str, Any]]) -> Iterator[str]:
    """What requests to the stack made or asked for that is not part of it now."""
    if things:
        yield "not part of the stack any more, or beside it:"
    for one in things:
        yield f"  - {one['name'] or ''}   {one['id']}".rstrip()
        yield from _records(one, "      ")


def _records(thing: dict[str, Any], space: str) -> Iterator[str]:
    for operation in thing["records"]:
        yield from (space + line.removeprefix("  ") for line in _lines(operation))
    if thing["left_out"]:
        yield f"{space}… {thing['left_out']} more: aerostat explain {thing['id']}"


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
            if value is None:
                continue
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
