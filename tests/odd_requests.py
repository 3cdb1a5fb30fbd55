"""Odd requests for any room: made from what its resources declare, and then bent.

A room's endpoints, fields and body schemas say what a good request is. Each request made here is one of those with
something wrong in some places, or in none: values of other types, out of range, too long, of no encoding; ids that are
not there; queries and headers nobody reads; bodies that are no JSON. Two things must hold of every answer:

* it is no 5xx: whatever a client sends, the room has a word for it;
* where it is a refusal, the room's tables are as they were.

The same seed makes the same requests. `AEROSTAT_ODD_REQUESTS=5000` makes more than the few hundred of the fast ring,
and `AEROSTAT_ODD_SEED=7` others.
"""

import json
import os
import random
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode

import httpx

from aerostat.kernel.fields import fields_at, object_schema
from aerostat.kernel.http.router import Endpoint
from aerostat.kernel.service import Service

COUNT = int(os.environ.get("AEROSTAT_ODD_REQUESTS", "300"))
SEED = int(os.environ.get("AEROSTAT_ODD_SEED", "1"))

TEXTS = (
    "",
    " ",
    "x",
    "\0",
    "a\nb",
    "ä€𝄞",
    "\ud800",
    "%00",
    "%",
    "../../etc/passwd",
    "'; drop table x; --",
    "$(project_id)s",
    "%(user_id)s",
    "None",
    "null",
    "true",
    "-1",
    "1e999",
    "2026-99-99T99:99:99Z",
    "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00Z",
    "in:",
    "in:a,b",
    "gt:1",
    ",",
    "a" * 256,
    "a" * 70_000,
)
NUMBERS = (0, 1, -1, 2**31, -(2**31) - 1, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308)
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [None], [[]], {"": None}, {"a": {"b": [1]}})
DEEP = 3_000
RAW_BODIES = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'"x"',
    b"7",
    b"\xff\xfe",
    b'{"a": NaN}',
    b'{"a": 1, "a": 2}',
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
)
Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Odd:
    """One request, as it is sent; `name` is the endpoint's."""

    name: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.url[:300]} {dict(self.headers)} {self.body[:600]!r}"


@dataclass
class Pool:
    """Ids that are there, by the name they have in paths. What is made on the way is added."""

    ids: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, id: str) -> None:
        self.ids.setdefault(name, []).append(id)

    def learn(self, body: object) -> None:
        """Take in what an answer shows: `{"user": {"id": …}}` is a `user_id`."""
        if not isinstance(body, dict):
            return
        if isinstance(body.get("id"), str):  # rooms that show a thing without an envelope
            self.add("id", body["id"])
        for kind, one in body.items():
            for thing in one if isinstance(one, list) else (one,):
                if isinstance(thing, dict) and isinstance(thing.get("id"), str):
                    self.add(f"{kind.removesuffix('s')}_id", thing["id"])


class Generator:
    """Requests to one room.

    `skip` are names of endpoints that are left out. `bodies` and `content_types` are schemas and types of bodies that a
    room reads by itself, by the names of endpoints.
    """

    def __init__(
        self,
        service: Service,
        seed: int = SEED,
        *,
        skip: Collection[str] = (),
        bodies: Mapping[str, Schema] | None = None,
        content_types: Mapping[str, str] | None = None,
    ) -> None:
        self.random = random.Random(seed)
        self.pool = Pool()
        self.service = service
        self._endpoints = [one for one in service.router.endpoints if one.name not in skip]
        self._schemas = {**dict(_schemas(service)), **(bodies or {})}
        self._content_types = content_types or {}
        self._queries = sorted({"limit", "marker", "sort_key", "sort_dir", *_filters(service), "odd"})

    def one(self, headers: Mapping[str, str]) -> Odd:
        endpoint = self.random.choice(self._endpoints)
        path = "/".join(self._segment(part) for part in endpoint.path.split("/"))
        method = (
            endpoint.method if self._mostly(0.97) else self.random.choice(("POST", "PUT", "PATCH", "DELETE"))
        )
        return Odd(
            endpoint.name,
            method,
            f"{self.service.prefix}{path}{self._query()}",
            self._headers(endpoint, headers),
            self._body(endpoint),
        )

    def _mostly(self, share: float) -> bool:
        return self.random.random() < share

    def _segment(self, part: str) -> str:
        if not part.startswith("{"):
            return part
        known = self.pool.ids.get(part.strip("{}."), self.pool.ids.get("id", []))
        if known and self._mostly(0.8):
            return quote(self.random.choice(known), safe="")
        text = self.random.choice([text for text in TEXTS if len(text) < 1_000])
        return quote(text, safe="", errors="replace")

    def _query(self) -> str:
        if self._mostly(0.6):
            return ""
        names = self.random.sample(self._queries, min(len(self._queries), self.random.randint(1, 3)))
        pairs = [
            (name + self.random.choice(("", "", "", "__contains")), self._query_value()) for name in names
        ]
        return "?" + urlencode(pairs, errors="replace")

    def _query_value(self) -> str:
        known = [id for ids in self.pool.ids.values() for id in ids]
        if known and self._mostly(0.3):
            return self.random.choice(known)
        return self.random.choice([text for text in TEXTS if len(text) < 1_000])

    def _headers(self, endpoint: Endpoint, headers: Mapping[str, str]) -> dict[str, str]:
        kind = self._content_types.get(endpoint.name, "application/json")
        sent = {"content-type": kind, **self._version(), **headers}
        if self._mostly(0.05):
            sent["content-type"] = self.random.choice(("", "text/plain", "application/octet-stream", "x;y=z"))
        if self._mostly(0.03):
            sent["x-auth-token"] = self.random.choice(("", "odd", "gAAAAA", "a" * 9_000))
        return sent

    def _version(self) -> dict[str, str]:
        versions = self.service.versions
        if versions.service_type is None or not self._mostly(0.8):
            return {}
        odd = self.random.choice(("latest", "1.0", "9.999", "x", "-1.-1", "2.1.1"))
        return {
            "openstack-api-version": f"{versions.service_type} {versions.maximum if self._mostly(0.95) else odd}"
        }

    def _body(self, endpoint: Endpoint) -> bytes:
        if endpoint.method in ("GET", "HEAD", "DELETE") and self._mostly(0.95):
            return b""
        if self._mostly(0.06):
            return self.random.choice(RAW_BODIES)
        schema = self._schemas.get(endpoint.name, {})
        if endpoint.name.endswith(".action"):
            schema = self.random.choice(
                [one for name, one in self._schemas.items() if name.startswith(endpoint.name)]
            )
        # Some bodies are good all through: what only a handler can refuse is behind the schema.
        oddness = self.random.choice((0.0, 0.0, 0.03, 0.1, 0.3))
        return json.dumps(self.value(schema, oddness), ensure_ascii=True).encode()

    def value(self, schema: Schema, oddness: float, depth: int = 0) -> Any:
        """A value that fits the schema, but for a share of `oddness` of its parts."""
        if not isinstance(schema, Mapping):  # true and false are schemas as well
            schema = {}
        if self._mostly(oddness) or depth > 8:
            return self.random.choice(self.random.choice((TEXTS, NUMBERS, OTHERS)))
        for several in ("oneOf", "anyOf"):
            if several in schema:
                chosen = self.random.choice(schema[several])
                properties = {**schema.get("properties", {}), **chosen.get("properties", {})}
                required = [*schema.get("required", ()), *chosen.get("required", ())]
                rest = {key: value for key, value in schema.items() if key != several}
                return self.value(
                    {**rest, **chosen, "properties": properties, "required": required}, oddness, depth
                )
        if "enum" in schema:
            return self.random.choice(list(schema["enum"]))
        kind = schema.get("type", "object" if "properties" in schema else "string")
        kind = self.random.choice(kind) if isinstance(kind, list) else kind
        if kind == "object":
            return self._object(schema, oddness, depth)
        if kind == "array":
            count = self.random.choice((schema.get("minItems", 0), 1, 2))
            return [self.value(schema.get("items", {}), oddness, depth + 1) for _ in range(count)]
        if kind in ("integer", "number"):
            return self.random.choice((schema.get("minimum", 0), 1, 7))
        if kind == "boolean":
            return self._mostly(0.5)
        return None if kind == "null" else self._text()

    def _object(self, schema: Schema, oddness: float, depth: int) -> dict[str, Any]:
        required = set(schema.get("required", ()))
        made = {
            name: self.value(inner, oddness, depth + 1)
            if not name.endswith("_id")
            else self._id(name, inner, oddness)
            for name, inner in schema.get("properties", {}).items()
            if name in required or self._mostly(0.4)
        }
        made |= {name: self._text() for name in required - made.keys()}
        if self._mostly(oddness):
            made[self.random.choice(TEXTS[:-1])] = self.random.choice(OTHERS)
        if made and self._mostly(oddness):
            made.pop(self.random.choice(sorted(made)))
        return made

    def _id(self, name: str, schema: Schema, oddness: float) -> Any:
        known = self.pool.ids.get(name, [])
        return self.random.choice(known) if known and self._mostly(0.85) else self.value(schema, oddness, 8)

    def _text(self) -> str:
        return (
            f"name {self.random.randrange(10_000)}" if self._mostly(0.9) else self.random.choice(TEXTS[:-1])
        )


def _schemas(service: Service) -> Iterator[tuple[str, Schema]]:
    version = service.versions.maximum
    verbs: tuple[Literal["create", "update"], ...] = ("create", "update")
    for resource in service.resources.values():
        kind = type(resource).__name__
        for one in resource.routes:
            if one.body is not None:
                yield f"{kind}.{one.call.__name__}", one.body
        present = fields_at(resource.fields, version)
        for verb in verbs:
            schema = object_schema(present, verb, envelope=resource.singular or None, lenient=service.lenient)
            yield f"{resource.singular or kind}.{verb}", schema
        for act in resource.actions:
            yield f"{resource.singular or kind}.action {act.name}", _of_action(act.name, act.body)
        # What is made by PUT under an id of the client's choice.
        yield (
            f"{kind}.put",
            object_schema(present, "create", envelope=resource.singular or None, lenient=False),
        )


def _of_action(name: str, body: Schema | None) -> Schema:
    """The schema of a whole body: some actions say what is below their name, some all of it."""
    if body is not None and body.get("required") == [name] and name in body.get("properties", {}):
        return body
    return {"type": "object", "properties": {name: body or {"type": "null"}}, "required": [name]}


def _filters(service: Service) -> set[str]:
    return {one.wire for kind in service.resources.values() for one in kind.fields if one.filter}


class Tables:
    """The room's tables in a SQLite file, as one number for each."""

    def __init__(self, file: Path, service: Service, ignored: Collection[str] = ()) -> None:
        assert service.tables is not None
        self._file = sqlite3.connect(file)
        self._names = [name for name in service.tables.tables if name not in ignored]

    def read(self) -> dict[str, str]:
        found = {}
        for name in self._names:
            rows = sorted(repr(row) for row in self._file.execute(f'select * from "{name}"'))
            found[name] = sha256("\n".join(rows).encode("utf-8", "replace")).hexdigest()
        return found

    def close(self) -> None:
        self._file.close()


async def play(
    session: httpx.AsyncClient,
    generator: Generator,
    people: Sequence[Mapping[str, str]],
    tables: Tables | None,
    count: int = COUNT,
) -> dict[int, int]:
    """Send `count` requests, each as one of `people` (headers; the first asks most). How often came which status.

    Without `tables` it is not looked whether a refusal changes something: in that room things go on by themselves.

    Raises `AssertionError` with every kind of answer that is none, once.
    """
    met: dict[int, int] = {}
    wrong: dict[str, str] = {}
    before = tables.read() if tables is not None else {}
    for _ in range(count):
        who = people[0] if generator.random.random() < 0.8 else generator.random.choice(people)
        odd = generator.one(who)
        answer = await session.request(odd.method, odd.url, headers=odd.headers, content=odd.body)
        met[answer.status_code] = met.get(answer.status_code, 0) + 1
        if answer.status_code >= 500:
            wrong.setdefault(f"{answer.status_code} {odd.name}", str(odd))
        if odd.method in ("GET", "HEAD"):
            continue
        after = tables.read() if tables is not None else {}
        if answer.status_code >= 400:
            for name in after:
                if after[name] != before[name]:
                    wrong.setdefault(f"{answer.status_code} {odd.name}, and {name} changed", str(odd))
        elif answer.headers.get("content-type", "").startswith("application/json") and answer.content:
            generator.pool.learn(answer.json())
        before = after
    assert not wrong, "\n".join(f"{what}: {odd}" for what, odd in wrong.items())
    return met
