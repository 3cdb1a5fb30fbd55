"""What nodes say to each other: HTTP/1.1 with MessagePack. Ours alone, and of one version: nodes are updated together.

    POST /DEVICE/VERB     body: the verb's arguments, an array; answer: 200 and what the verb answers, or a fault

Before either stands its sum (XXH3): what TCP's own sums let pass, and what memory on the way changes, is noticed.
Verbs that open something (`OPENING`) talk on while it is open: both bodies are chunked, and made of *frames*, each with
its kind, length and sum. The first of the request has the arguments; the answer's first has what was found. Then bytes
are asked for, or sent and committed. The end of either body, or of the connection, closes what is open.

Who knows the cluster's secret may ask anything; the secret itself is never sent. Times that differ by more than
`CLOCKS_S` are refused. What is said is neither hidden nor protected on its way against who can change it: nodes talk on
a network of their own. Decision 0017 says why the signature does not cover bodies.
"""

import errno
import hmac
import re
import struct
import time
from collections.abc import Sequence
from typing import Annotated, Any, cast

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from xxhash import xxh3_64_digest

from ..stores.entries import AccountStatus, ContainerEntry, ContainerStatus, Entry
from ..stores.held import DatabaseState, DeviceStatus, Held, Part, Place, Rows, RowsSince, StoreName, Suffix
from ..stores.listing import Asked, Subdir
from ..stores.object_file import Damaged, Facts, Revision
from ..stores.objects import Superseded
from ..stores.pending import Note
from ..stores.protocol import DeviceAway
from ..timestamp import Timestamp

Policy = Annotated[int, msgspec.Meta(ge=0, lt=1_000_000)]
At = Annotated[Timestamp, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Said = dict[str, tuple[str, Timestamp]]
Page = list[Entry | str] | None
"""A page of a listing; a subdir is its name alone."""
AccountPage = list[ContainerEntry | str] | None


class MergeRows(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Rows of a container, or of an account."""

    objects: Sequence[Entry] = ()
    containers: Sequence[ContainerEntry] = ()


CALLS: dict[str, tuple[Any, Any]] = {
    "put": (tuple[Policy, Place, bytes, Facts], None),
    "delete": (tuple[Policy, Place, str, At], Facts | None),
    "post": (tuple[Policy, Place, Revision], Facts | None),
    "make_durable": (tuple[Policy, Place, At], bool),
    "delete_fragments": (tuple[Policy, Place, str, At], Facts | None),
    "post_fragments": (tuple[Policy, Place, Revision], Facts | None),
    "make_container": (tuple[Place, str, At, Policy, Said], bool),
    "container": (tuple[Place], tuple[ContainerStatus, Said] | None),
    "list_container": (tuple[Place, Asked], Page),
    "say_of_container": (tuple[Place, Said], bool),
    "hear_objects": (tuple[Place, list[Entry]], bool),
    "delete_container": (tuple[Place, At], bool | None),
    "make_account": (tuple[Place, str, At, Said], bool),
    "account": (tuple[Place], tuple[AccountStatus, Said] | None),
    "list_account": (tuple[Place, Asked], AccountPage),
    "say_of_account": (tuple[Place, Said], bool),
    "hear_containers": (tuple[Place, list[ContainerEntry]], bool),
    "delete_account": (tuple[Place, At], bool | None),
    "status": (tuple[()], DeviceStatus),
    "partitions": (tuple[StoreName], list[int]),
    "quarantine": (tuple[StoreName, Place, str, tuple[At, int] | None], bool),
    "digests": (tuple[StoreName, Part], dict[str, str]),
    "held": (tuple[StoreName, Part, Suffix | None], list[Held]),
    "forget": (tuple[StoreName, Part, Held], bool),
    "databases": (tuple[StoreName, Part], list[DatabaseState]),
    "database": (tuple[StoreName, Place], DatabaseState | None),
    "rows_since": (tuple[StoreName, Place, int, int], RowsSince | None),
    "merge_database": (tuple[StoreName, Place, DatabaseState, MergeRows, int], DatabaseState),
    "forget_gone": (tuple[StoreName, Place, At], int),
    "remove_database": (tuple[StoreName, Place, str, int], bool),
    "keep_note": (tuple[Place, Note], None),
}
"""By verb of `DeviceVerbs`: its arguments, and what it answers."""

OPENING: dict[str, Any] = {
    "find": tuple[Policy, Place],
    "find_fragment": tuple[Policy, Place, tuple[At, int] | None],
    "begin": tuple[Policy, Place, int | None],
    "begin_fragment": tuple[Policy, Place, int | None],
}
"""By verb that opens something: its arguments."""

encode = msgspec.msgpack.Encoder().encode
arguments = {verb: msgspec.msgpack.Decoder(asked) for verb, (asked, _) in CALLS.items()}
arguments |= {verb: msgspec.msgpack.Decoder(asked) for verb, asked in OPENING.items()}
answers = {verb: msgspec.msgpack.Decoder(answer) for verb, (_, answer) in CALLS.items()}


class Opened(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An object or a fragment that was found. Without `data` it stays open, and ranges of it may be asked for."""

    written: Facts
    revision: Revision | None = None
    data: bytes | None = None
    versions: Sequence[Held] = ()
    is_durable: bool = True


def merge_rows(rows: Rows) -> MergeRows:
    if rows and isinstance(rows[0], ContainerEntry):
        return MergeRows(containers=cast(Sequence[ContainerEntry], rows))
    return MergeRows(objects=cast(Sequence[Entry], rows))


opened = msgspec.msgpack.Decoder(Opened | None)
facts = msgspec.msgpack.Decoder(Facts)
span = msgspec.msgpack.Decoder(tuple[int, int])


def to_page(found: Sequence[Entry | ContainerEntry | Subdir] | None) -> Any:
    return None if found is None else [one.name if isinstance(one, Subdir) else one for one in found]


def from_page(page: Any) -> Any:
    return None if page is None else [Subdir(one) if isinstance(one, str) else one for one in page]


# Sums and frames

SUM = 8


class Changed(ValueError):
    """What came is not what was sent."""


def sealed(content: bytes) -> bytes:
    """With its sum before it."""
    return xxh3_64_digest(content) + content


def unsealed(body: bytes) -> bytes:
    """Raises `Changed`."""
    content = body[SUM:]
    if xxh3_64_digest(content) != body[:SUM]:
        raise Changed("it was changed on its way")
    return content


FRAME = struct.Struct("<BI8s")
DATA, ANSWER, FAULT, COMMIT, SPAN = range(5)
LARGEST_FRAME = 1 << 20


def frame_head(kind: int, content: bytes) -> bytes:
    return FRAME.pack(kind, len(content), xxh3_64_digest(content, kind))


def frame(kind: int, content: bytes) -> bytes:
    return frame_head(kind, content) + content


class Frames:
    """Bytes as they come, as frames. Raises ValueError on one that is too large, `Changed` on one that is not as it was
    sent.
    """

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __len__(self) -> int:
        """Bytes that wait to be taken."""
        return len(self._bytes)

    def feed(self, content: bytes) -> None:
        self._bytes += content

    def next(self) -> tuple[int, bytes] | None:
        """The next whole one, with its kind; None while it has not all come."""
        if len(self._bytes) < FRAME.size:
            return None
        kind, length, expected = FRAME.unpack_from(self._bytes)
        if length > LARGEST_FRAME:
            raise ValueError(f"a frame of {length} bytes is too large")
        end = FRAME.size + length
        if len(self._bytes) < end:
            return None
        content = bytes(memoryview(self._bytes)[FRAME.size : end])
        del self._bytes[:end]
        if xxh3_64_digest(content, kind) != expected:
            raise Changed(f"a frame of {length} bytes was changed on its way")
        return kind, content


# Faults


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    kind: str
    text: str = ""
    number: int = 0


STATUSES = {"superseded": 409, "damaged": 422, "os": 507, "eof": 422, "away": 503, "request": 400}
_fault = msgspec.msgpack.Decoder(Fault)
FAULTS = (Superseded, Damaged, DeviceAway, EOFError, OSError, ValueError, OverflowError)
"""What verbs raise that the asker is told; anything else is a fault of ours."""


def fault_of(error: BaseException) -> Fault:
    """One of `FAULTS` as it is sent."""
    match error:
        case Superseded():
            return Fault("superseded", number=error.timestamp)
        case Damaged():
            return Fault("damaged", error.reason)
        case DeviceAway():
            return Fault("away", str(error))
        case EOFError():
            return Fault("eof", str(error))
        case OSError():
            return Fault("os", error.strerror or str(error), error.errno or errno.EIO)
        case _:
            return Fault("request", str(error))


def error_of(content: bytes) -> Exception:
    """What the asker is to raise."""
    try:
        fault = _fault.decode(content)
    except msgspec.DecodeError:
        return DeviceAway("its answer is no fault of ours")
    match fault.kind:
        case "superseded":
            return Superseded(fault.number)
        case "damaged":
            return Damaged(fault.text)
        case "eof":
            return EOFError(fault.text)
        case "os":
            return OSError(fault.number, fault.text)
        case "request":
            return ValueError(fault.text)
        case _:
            return DeviceAway(fault.text)


# Who asks

CLOCKS_S = 300
AUTHORIZATION = b"authorization"
_SIGNED = re.compile(rb"Aerostat ([0-9]{1,12}) ([0-9a-f]{64})")


class Signer:
    """Signs requests, and knows who may ask. `secret` is the cluster's; the key of this is derived from it."""

    def __init__(self, secret: bytes) -> None:
        self._key = HKDF(SHA256(), 32, salt=None, info=b"aerostat object node").derive(secret)
        self._signed: dict[str, tuple[int, bytes]] = {}

    def sign(self, path: str) -> bytes:
        """The value of `authorization` for a POST to this path, now."""
        now_s = int(time.time())
        known = self._signed.get(path)
        if known is None or known[0] != now_s:
            known = self._signed[path] = (now_s, b"Aerostat %d %s" % (now_s, self._mac(now_s, path)))
        return known[1]

    def is_signed(self, path: str, value: bytes) -> bool:
        """Whether that came from one who knows the secret, not long ago."""
        if (match := _SIGNED.fullmatch(value)) is None:
            return False
        at_s = int(match[1])
        is_ours = hmac.compare_digest(self._mac(at_s, path), match[2])
        return is_ours and abs(time.time() - at_s) <= CLOCKS_S

    def _mac(self, at_s: int, path: str) -> bytes:
        said = f"POST\n{path}\n{at_s}".encode("utf-8", "surrogateescape")
        return hmac.digest(self._key, said, "sha256").hex().encode()
