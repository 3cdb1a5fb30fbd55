"""The API against a model of it: whatever is done in whatever order, the store answers as a dictionary would.

On one device, and on four with three copies of everything; encrypted in one of them.
"""

import asyncio
import hashlib
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from aerostat.services.object.stores.listing import Asked

from .kit import Answer, opened
from .test_listing import plainly

CONTAINERS = ("c", "d ä")
NAMES = ("a", "a/", "a/b", "a/b/c", "a/c", "ab", "b", "ä/ö", "%2f", "0")
BODIES = (b"", b"one", b"two" * 30_000, bytes(range(256)) * 300)
WORDS = ("", "red", "blå")
RANGES = (None, (0, 0), (1, 5), (70_000, 75_000), (2, 10_000_000))
containers, names = st.sampled_from(CONTAINERS), st.sampled_from(NAMES)
fragments = st.sampled_from(("", "a", "a/", "a/b", "a/b/", "b", "ä", "ä/", "zz", "0"))


class Thing(msgspec.Struct, frozen=True):
    """An object. `word` is its metadata, `kind` its type."""

    data: bytes
    word: str
    kind: str

    @property
    def etag(self) -> str:
        return hashlib.md5(self.data).hexdigest()


class Model(RuleBasedStateMachine):
    """`options` of the store, for a subclass to say."""

    options: dict[str, Any] = {}

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.store: Any = self.runner.run(self.stack.enter_async_context(self.opened()))
        self.there: dict[str, dict[str, Thing]] = {}

    def opened(self) -> AbstractAsyncContextManager[Any]:
        """A store with an account `A`, that is asked as `Store` is."""
        return opened(Path(self.folder.name), **self.options)

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        self.folder.cleanup()

    def ask(self, method: str, container: str, name: str | None = None, /, **rest: Any) -> Answer:
        path = f"/v1/A/{container}" if name is None else f"/v1/A/{container}/{name}"
        answer: Answer = self.runner.run(self.store(method, path, **rest))
        return answer

    @initialize()
    def begin(self) -> None:
        assert self.ask("PUT", "c").status == 201
        self.there["c"] = {}

    # Containers

    @rule(container=containers)
    def put_container(self, container: str) -> None:
        assert self.ask("PUT", container).status == (202 if container in self.there else 201)
        self.there.setdefault(container, {})

    @rule(container=containers)
    def delete_container(self, container: str) -> None:
        held = self.there.get(container)
        status = self.ask("DELETE", container).status
        assert status == (404 if held is None else 409 if held else 204)
        if held == {}:
            del self.there[container]

    # Objects

    @rule(
        container=containers,
        name=names,
        data=st.sampled_from(BODIES),
        word=st.sampled_from(WORDS),
        kind=st.sampled_from(("text/plain", "image/x-ä")),
        etag=st.sampled_from(("none", "right", "wrong")),
        only_new=st.booleans(),
        is_chunked=st.booleans(),
    )
    def put(
        self,
        container: str,
        name: str,
        data: bytes,
        word: str,
        kind: str,
        etag: str,
        only_new: bool,
        is_chunked: bool,
    ) -> None:
        thing = Thing(data, word, kind)
        headers = {"content-type": kind}
        if word:
            headers["x-object-meta-word"] = word
        if etag != "none":
            headers["etag"] = thing.etag if etag == "right" else "0" * 32
        if only_new:
            headers["if-none-match"] = "*"
        pieces = [data[start : start + 50_000] for start in range(0, len(data), 50_000)]
        answer = self.ask("PUT", container, name, body=pieces if is_chunked else data, headers=headers)
        held = self.there.get(container)
        if held is None:
            assert answer.status == 404
        elif only_new and name in held:
            assert answer.status == 412
        elif etag == "wrong":
            assert answer.status == 422
        else:
            assert (answer.status, answer.headers["etag"]) == (201, thing.etag)
            held[name] = thing

    @rule(container=containers, name=names, word=st.sampled_from(WORDS), kind=st.sampled_from(("", "x/y")))
    def post(self, container: str, name: str, word: str, kind: str) -> None:
        headers = {"x-object-meta-word": word} if word else {}
        if kind:
            headers["content-type"] = kind
        answer = self.ask("POST", container, name, headers=headers)
        held = self.there.get(container, {})
        if name not in held:
            assert answer.status == 404
            return
        assert answer.status == 202
        held[name] = Thing(held[name].data, word, kind or held[name].kind)

    @rule(container=containers, name=names)
    def delete(self, container: str, name: str) -> None:
        held = self.there.get(container, {})
        assert self.ask("DELETE", container, name).status == (204 if name in held else 404)
        held.pop(name, None)

    @rule(
        container=containers,
        name=names,
        to=containers,
        to_name=names,
        word=st.sampled_from(WORDS),
        is_fresh=st.booleans(),
        is_put=st.booleans(),
    )
    def copy(
        self, container: str, name: str, to: str, to_name: str, word: str, is_fresh: bool, is_put: bool
    ) -> None:
        headers = {"x-object-meta-word": word} if word else {}
        if is_fresh:
            headers["x-fresh-metadata"] = "true"
        if is_put:
            answer = self.ask(
                "PUT", to, to_name, headers={**headers, "x-copy-from": quote(f"{container}/{name}")}
            )
        else:
            answer = self.ask(
                "COPY", container, name, headers={**headers, "destination": quote(f"{to}/{to_name}")}
            )
        source = self.there.get(container, {}).get(name)
        if source is None or to not in self.there:
            assert answer.status == 404
            return
        assert answer.status == 201
        kept = word or ("" if is_fresh else source.word)
        self.there[to][to_name] = Thing(source.data, kept, source.kind)

    # Reading

    @rule(
        container=containers,
        name=names,
        is_head=st.booleans(),
        span=st.sampled_from(RANGES),
        condition=st.sampled_from(("", "if-match", "if-none-match")),
        is_same=st.booleans(),
    )
    def get(self, container: str, name: str, is_head: bool, span: Any, condition: str, is_same: bool) -> None:
        thing = self.there.get(container, {}).get(name)
        headers = {}
        if condition:
            headers[condition] = thing.etag if thing is not None and is_same else "0" * 32
        if span is not None:
            headers["range"] = f"bytes={span[0]}-{span[1]}"
        answer = self.ask("HEAD" if is_head else "GET", container, name, headers=headers)
        if thing is None:
            assert answer.status == 404
            return
        if condition == "if-match" and not is_same:
            assert answer.status == 412
            return
        if condition == "if-none-match" and is_same:
            assert answer.status == 304
            return
        data = thing.data
        if span is not None and not is_head and data:
            if span[0] >= len(data):
                assert answer.status == 416
                return
            assert answer.status == 206
            data = data[span[0] : span[1] + 1]
        else:
            assert answer.status == 200
        assert answer.body == (b"" if is_head else data)
        assert answer.headers["content-length"] == str(len(data))
        assert answer.headers["etag"] == thing.etag
        assert answer.headers["content-type"] == thing.kind
        assert answer.headers.get("x-object-meta-word", "") == thing.word

    @rule(
        container=containers,
        asked=st.builds(
            Asked,
            limit=st.integers(1, 12),
            marker=fragments,
            end_marker=fragments,
            prefix=fragments,
            delimiter=st.sampled_from(("", "/", "b")),
            path=st.sampled_from((None, None, None, "", "a", "a/b", "ä")),
            reverse=st.booleans(),
        ),
    )
    def list(self, container: str, asked: Asked) -> None:
        said = {
            name: value for name, value in msgspec.structs.asdict(asked).items() if value not in ("", None)
        }
        query = "&".join(f"{name}={quote(str(value))}" for name, value in said.items())
        answer = self.ask(
            "GET", container, query=query + "&format=json" + ("&path=" if asked.path == "" else "")
        )
        held = self.there.get(container)
        if held is None:
            assert answer.status == 404
            return
        found = [f"dir {row['subdir']}" if "subdir" in row else row["name"] for row in answer.json]
        assert found == plainly(asked, held)

    @invariant()
    def everything_is_listed_as_it_is(self) -> None:
        for container, held in self.there.items():
            rows = self.ask("GET", container, query="format=json").json
            found = [(row["name"], row["bytes"], row["hash"], row["content_type"]) for row in rows]
            assert found == [
                (name, len(held[name].data), held[name].etag, held[name].kind) for name in sorted(held)
            ]
            head = self.ask("HEAD", container).headers
            assert head["x-container-object-count"] == str(len(held))
            assert head["x-container-bytes-used"] == str(sum(len(one.data) for one in held.values()))
        answer = self.runner.run(self.store("GET", "/v1/A", query="format=json"))
        assert [row["name"] for row in answer.json] == sorted(self.there)


class OnFourDevices(Model):
    options = {"devices": 4, "replicas": 3}


class Encrypted(Model):
    options = {
        "middleware": {"encryption": {"root_secrets": {"1": "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="}}}
    }


@pytest.mark.parametrize("machine", [Model, OnFourDevices, Encrypted])
def test_the_store_does_as_the_model(machine: Any) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
