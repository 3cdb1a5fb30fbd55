"""What an image really is, found out while it streams in, before any tool opens it.

The bytes go through oslo.utils' inspectors, which read headers only, and what those leave open is looked at in
`formats.py`. An image that is not what it was declared as, that is several things at once, or that would make a tool
open other files (backing files, data files, parents, extents elsewhere), is refused with the reason. What is refused
and why: `docs/howto/bring-an-image.md`.
"""

from typing import Any

from oslo_utils.imageutils import format_inspector

from .errors import FormatMismatch, UnsafeImage
from .formats import CHECKS, TAIL_BYTES, is_fixed_vhd, ploop_bytes, vhd_bytes

# What nothing interprets but the guest: a partition table, a file system of a CD, or an encrypted disk may be in it.
_PLAIN = frozenset({"raw", "gpt", "iso", "luks"})
_ACCEPTED: dict[str, tuple[frozenset[str], ...]] = {
    "qcow2": (frozenset({"qcow2"}),),
    "vmdk": (frozenset({"vmdk"}),),
    "vdi": (frozenset({"vdi"}),),
    "vhd": (frozenset({"vhd"}), frozenset({"vhd-fixed"})),
    "vhdx": (frozenset({"vhdx"}),),
    "iso": (frozenset({"iso"}), frozenset({"iso", "gpt"})),  # a CD that boots from a stick has both
    "ploop": (frozenset({"ploop"}),),
}
# In these a disk image stands as it is. What is packed (a tar of several files, a compressed one) is not opened.
_OPEN_CONTAINERS = frozenset({"bare", "ami", "ari", "aki"})
_HEAD_BYTES = 64
_SLICE_BYTES = 64 << 10
"""At a time: an inspector that learns from one piece where to look next finds it only in the pieces that follow."""
_MOST_BYTES = (1 << 63) - 1


class Inspection:
    """`take` each piece in order, then `finish`. Holds less than 2 MiB, whatever comes; only `finish` raises."""

    def __init__(self, declared: str, container: str = "bare", *, must_match: bool = True) -> None:
        self._declared = declared
        self._is_open = container in _OPEN_CONTAINERS
        self._must_match = must_match
        kinds = format_inspector.ALL_FORMATS.items() if self._is_open else ()
        self._watching: dict[str, Any] = {name: kind() for name, kind in kinds if name != "raw"}
        self._known: dict[str, Any] = {}
        """Those that match and need no more."""
        self._head = self._tail = b""
        self._size = 0

    def take(self, piece: bytes) -> None:
        if not self._is_open:
            return
        if len(self._head) < _HEAD_BYTES:
            self._head += piece[: _HEAD_BYTES - len(self._head)]
        long_enough = len(piece) >= TAIL_BYTES
        self._tail = piece[-TAIL_BYTES:] if long_enough else (self._tail + piece)[-TAIL_BYTES:]
        self._size += len(piece)
        for start in range(0, len(piece), _SLICE_BYTES):
            if not self._watching:
                return
            self._look(piece[start : start + _SLICE_BYTES])

    def finish(self) -> int | None:
        """The size in bytes of the disk that a guest sees; None if it cannot be known. Raises `FormatMismatch`,
        `UnsafeImage`.
        """
        if not self._is_open:
            return None
        found = self._found()
        names = frozenset(found) or frozenset({self._plain_name()})
        matches = names <= _PLAIN if self._declared not in _ACCEPTED else names in _ACCEPTED[self._declared]
        if not matches and self._must_match:
            raise FormatMismatch(declared=self._declared, found=" and ".join(sorted(names)))
        if matches and names <= _PLAIN and self._declared != "iso":
            return self._size
        for name in names - {"gpt"}:
            if name in found:
                _check(name, found[name])
        return self._virtual_bytes(found) if matches else None

    def held_bytes(self) -> int:
        """What is held of the image."""
        inspectors = (*self._watching.values(), *self._known.values())
        return sum(sum(one.context_info.values()) for one in inspectors) + len(self._head) + len(self._tail)

    def _look(self, piece: bytes) -> None:
        for name, inspector in list(self._watching.items()):
            try:
                inspector.eat_chunk(piece)
                if inspector.complete:
                    del self._watching[name]
                    if inspector.format_match:
                        self._known[name] = inspector
            except (
                Exception
            ):  # the inspectors parse hostile bytes: whatever they stumble over is not their format
                self._watching.pop(name, None)

    def _found(self) -> dict[str, Any]:
        found = dict(self._known)
        for name, inspector in self._watching.items():
            try:
                inspector.finish()
                if inspector.format_match:
                    found[name] = inspector
            except Exception:
                continue
        return found

    def _plain_name(self) -> str:
        """Of what no inspector knows."""
        if ploop_bytes(self._head) is not None:
            return "ploop" if self._declared == "ploop" else "raw"
        return "vhd-fixed" if self._declared == "vhd" and is_fixed_vhd(self._tail, self._size) else "raw"

    def _virtual_bytes(self, found: dict[str, Any]) -> int | None:
        if self._declared == "ploop":
            size = ploop_bytes(self._head)
        elif self._declared == "vhd":
            size = vhd_bytes(found["vhd"].region("header").data if "vhd" in found else self._tail)
        else:
            size = _said_size(found[self._declared])
        if size is not None and size > _MOST_BYTES:
            raise UnsafeImage(reason=f"it says that its disk has {size} bytes")
        return size or None


def _said_size(inspector: Any) -> int:
    try:
        return int(inspector.virtual_size)
    except Exception as error:
        raise UnsafeImage(reason="its size cannot be understood", detail=str(error)) from error


def _check(name: str, inspector: Any) -> None:
    """Raises `UnsafeImage`."""
    try:
        inspector.safety_check()
        complaint = CHECKS[name](inspector) if name in CHECKS else None
    except format_inspector.SafetyCheckFailed as error:
        reasons = "; ".join(f"{what}: {why}" for what, why in error.failures.items())
        raise UnsafeImage(reason=reasons) from error
    except Exception as error:
        raise UnsafeImage(reason=f"its {name} header cannot be understood", detail=str(error)) from error
    if complaint is not None:
        raise UnsafeImage(reason=complaint)
