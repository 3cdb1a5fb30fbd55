"""The manifest of a static large object: what a client sends, what is kept, what it comes to. Pure.

https://docs.openstack.org/swift/latest/overview_large_objects.html#static-large-objects. It is kept as JSON under the
names that `?multipart-manifest=get` shows.
"""

import base64
import binascii
import hashlib
import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from ..http import ranges
from ..http.response import Refusal

MOST_BYTES = 8 << 20
_KEYS = {"path": {"path", "etag", "size_bytes", "range"}, "data": {"data"}}
_BASE64 = re.compile(r"[A-Za-z0-9+/]*=*", re.ASCII)
_NAMES = {"size": "bytes", "etag": "hash", "taken": "range"}
_TOO_SMALL = "too small; each segment must be at least 1 byte."


class Wanted(msgspec.Struct, kw_only=True):
    """A segment that a client asks for: `data`, or the object at `path`, `container/object`; `sent` is the path as the
    client wrote it.
    """

    path: str = ""
    sent: str = ""
    etag: str | None = None
    size_bytes: int | None = None
    range: ranges.Span | None = None
    data: bytes | None = None


class Segment(msgspec.Struct, frozen=True, kw_only=True, rename=_NAMES):
    """A segment as it is kept: `data` in base64, or `name`, `/container/object`; `size` and `etag` are of the whole
    object, `taken` (`first-last`) is the range of it.
    """

    name: str | UnsetType = UNSET
    size: int | UnsetType = UNSET
    etag: str | UnsetType = UNSET
    content_type: str | UnsetType = UNSET
    last_modified: str | UnsetType = UNSET
    taken: str | UnsetType = UNSET
    sub_slo: bool | UnsetType = UNSET
    data: str | UnsetType = UNSET

    @property
    def path(self) -> str:
        """`container/object`."""
        assert self.name is not UNSET
        return self.name.lstrip("/")

    @property
    def span(self) -> tuple[int, int]:
        """What is taken of the object, or of the data: from where to before where."""
        if self.data is not UNSET:
            return 0, len(self.data) // 4 * 3 - self.data[-2:].count("=")
        if self.taken is not UNSET:
            first, _, last = self.taken.partition("-")
            return int(first), int(last) + 1
        assert self.size is not UNSET
        return 0, self.size

    @property
    def inline(self) -> bytes | None:
        return base64.b64decode(self.data) if self.data is not UNSET else None


class Manifest:
    """Segments, and where in the whole each of them ends."""

    __slots__ = ("_ends", "segments")

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = segments
        self._ends = list(accumulate(end - start for start, end in (one.span for one in segments)))

    @property
    def size(self) -> int:
        return self._ends[-1] if self._ends else 0

    def first_at(self, position: int) -> int:
        """The index of the segment that has this byte of the whole."""
        return bisect_right(self._ends, position)

    def bounds(self, index: int) -> tuple[int, int]:
        """Where in the whole a segment begins and ends."""
        return (self._ends[index - 1] if index else 0), self._ends[index]


_segments = msgspec.json.Decoder(list[Segment])
_encoder = msgspec.json.Encoder()


def read(kept: bytes) -> Manifest:
    """Raises ValueError when it is no manifest of ours."""
    try:
        return Manifest(_segments.decode(kept))
    except (msgspec.DecodeError, AssertionError, RecursionError) as error:
        raise ValueError(str(error)) from error


def write(segments: Sequence[Segment]) -> bytes:
    return _encoder.encode(segments)


def as_sent(manifest: Manifest) -> bytes:
    """The manifest as a client would send it, to make the same object again."""
    raw: list[dict[str, Any]] = []
    for one in manifest.segments:
        if one.data is not UNSET:
            raw.append({"data": one.data})
            continue
        shown: dict[str, Any] = {"etag": one.etag, "path": one.name}
        if one.taken is not UNSET:
            shown["range"] = one.taken
        raw.append({**shown, "size_bytes": one.size})
    return _encoder.encode(raw)


def etag_of(segments: Sequence[Segment]) -> str:
    """The ETag of the whole: the MD5 of the segments' ones, with their ranges."""
    md5 = hashlib.md5(usedforsecurity=False)
    for one in segments:
        if (data := one.inline) is not None:
            md5.update(hashlib.md5(data, usedforsecurity=False).hexdigest().encode())
        else:
            md5.update((f"{one.etag}:{one.taken};" if one.taken is not UNSET else str(one.etag)).encode())
    return md5.hexdigest()


def of_data(data: bytes) -> Segment:
    return Segment(data=base64.b64encode(data).decode())


def parse(body: bytes, own_path: str) -> list[Wanted]:
    """What a client sent. `own_path`: `container/object` that it is sent to. Raises `Refusal` 400 with a line for each
    segment that makes no sense.
    """
    try:
        sent = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refusal(400, "Manifest must be valid JSON.\n") from None
    if not isinstance(sent, list):
        raise Refusal(400, "Manifest must be a list.\n")
    found: list[Wanted] = []
    errors: list[str] = []
    for index, one in enumerate(sent):
        try:
            found.append(_segment(one, own_path, is_last=index == len(sent) - 1))
        except ValueError as error:
            errors.append(f"Index {index}: {error}")
    if sent and all(isinstance(one, dict) and "data" in one for one in sent):
        errors.append("Inline data segments require at least one object-backed segment.")
    if errors:
        raise Refusal(400, "".join(f"{line}\n" for line in errors))
    return found


def _segment(sent: Any, own_path: str, *, is_last: bool) -> Wanted:
    """Raises ValueError with what is wrong."""
    if not isinstance(sent, dict):
        raise ValueError("not a JSON object")
    kind = next((key for key in ("data", "path") if key in sent), None)
    if kind is None:
        raise ValueError("expected keys to include one of 'data' or 'path'")
    if extra := sorted(sent.keys() - _KEYS[kind]):
        names = ", ".join(msgspec.json.encode(name).decode() for name in extra)
        raise ValueError(f"extraneous keys {names}")
    if kind == "data":
        return Wanted(data=_data(sent["data"]))
    path, etag = sent["path"], sent.get("etag")
    if not isinstance(path, str):
        raise ValueError('"path" must be a string')
    if etag is not None and not isinstance(etag, str):
        raise ValueError('"etag" must be a string or null (if provided)')
    if "/" not in path.strip("/") or "\0" in path:
        raise ValueError("path does not refer to an object. Path must be of the form /container/object.")
    size = _size(sent.get("size_bytes"))
    if size is not None and size < 1 and not is_last:
        raise ValueError(_TOO_SMALL)
    if path.lstrip("/") == own_path:
        raise ValueError("manifest must not include itself as a segment")
    return Wanted(
        path=path.lstrip("/"), sent=path, etag=etag, size_bytes=size, range=_range(sent.get("range"), size)
    )


def _data(sent: Any) -> bytes:
    try:
        if not isinstance(sent, str) or not _BASE64.fullmatch(sent):
            raise ValueError
        data = base64.b64decode(sent)
    except (binascii.Error, ValueError):
        raise ValueError("data must be valid base64") from None
    if not data:
        raise ValueError(_TOO_SMALL)
    return data


def _size(sent: Any) -> int | None:
    if sent is None or (isinstance(sent, int) and not isinstance(sent, bool)):
        return sent
    if isinstance(sent, str) and sent.isascii() and sent.strip().isdigit():
        return int(sent[:20])
    raise ValueError("invalid size_bytes")


def _range(sent: Any, size: int | None) -> ranges.Span | None:
    if not sent:
        return None
    spans = ranges.parse(f"bytes={sent}") if isinstance(sent, str) else None
    if spans is None:
        raise ValueError("invalid range")
    if len(spans) > 1:
        raise ValueError("multiple ranges (only one allowed)")
    if size is not None and not ranges.within(spans, size):
        raise ValueError("unsatisfiable range")
    return spans[0]
