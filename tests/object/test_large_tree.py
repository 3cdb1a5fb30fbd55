"""Trees of manifests against plain bytes: any range of any tree, by any path through it."""

import asyncio
import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from aerostat.services.object.http.response import Response, Whole
from aerostat.services.object.large import manifest
from aerostat.services.object.large.concatenation import Concatenation
from aerostat.services.object.large.manifest import Manifest, Segment
from aerostat.services.object.large.tree import ETAG, SLO, Tree


class Things:
    """Objects and manifests by `container/object`, and what each is when it is read."""

    def __init__(self):
        self.answers = {}
        self.wholes = {}
        self.closed = self.opened = 0

    def add(self, body, headers, whole):
        path = f"c/{len(self.answers)}"
        self.answers[path] = body, headers
        self.wholes[path] = whole
        return path

    async def fetch(self, path):
        body, headers = self.answers[path.removeprefix("/v1/a/")]
        self.opened += 1
        return Response(200, headers, entity=Counted(self, body))


class Counted(Whole):
    def __init__(self, things, body):
        super().__init__(body)
        self.things = things
        self.is_open = True

    async def close(self):
        self.things.closed += self.is_open
        self.is_open = False


@st.composite
def trees(draw):
    """Things, and the path of the last manifest among them."""
    things = Things()
    for _ in range(draw(st.integers(1, 3))):
        data = draw(st.binary(min_size=1, max_size=20))
        things.add(data, {"etag": hashlib.md5(data).hexdigest()}, data)
    for _ in range(draw(st.integers(1, 4))):
        segments = []
        for _ in range(draw(st.integers(1, 4))):
            if segments and draw(st.booleans()) and draw(st.booleans()):
                data = draw(st.binary(min_size=1, max_size=9))
                segments.append((manifest.of_data(data), data))
                continue
            path = draw(st.sampled_from(sorted(things.wholes)))
            whole, headers = things.wholes[path], things.answers[path][1]
            start = draw(st.integers(0, len(whole) - 1))
            end = draw(st.integers(start + 1, len(whole)))
            more = {} if (start, end) == (0, len(whole)) else {"taken": f"{start}-{end - 1}"}
            if SLO in headers:
                more["sub_slo"] = True
            etag = headers.get(ETAG, headers["etag"])
            segments.append((Segment(name=f"/{path}", size=len(whole), etag=etag, **more), whole[start:end]))
        kept = [segment for segment, _ in segments]
        whole = b"".join(part for _, part in segments)
        headers = {"etag": "", SLO: "True", ETAG: manifest.etag_of(kept)}
        path = things.add(manifest.write(kept), headers, whole)
    return things, path


@given(trees(), st.data())
@settings(max_examples=200, deadline=None)
def test_any_range_of_any_tree(made, data):
    things, path = made
    whole = things.wholes[path]
    kept = manifest.read(things.answers[path][0])
    assert kept.size == len(whole)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    begins_first = data.draw(st.booleans())

    async def root():
        return kept

    async def read():
        tree = Tree(path, "/v1/a", root, things.fetch)
        entity = Concatenation(path, len(whole), tree.pieces, things.fetch)
        if begins_first:
            await entity.begin(start, end)
        parts = [piece async for piece in entity.stream(start, end)]
        await entity.close()
        return b"".join(parts)

    assert asyncio.run(read()) == whole[start:end]
    assert things.closed == things.opened


@given(st.lists(st.integers(0, 5), max_size=8))
def test_where_segments_are(sizes):
    whole = Manifest([Segment(name="/c/o", size=size, etag="") for size in sizes])
    assert whole.size == sum(sizes)
    for position in range(whole.size):
        start, end = whole.bounds(whole.first_at(position))
        assert start <= position < end
