"""What an image really is, found out while it streams in, before any tool opens it.

The bytes go through oslo.utils' inspectors, which read headers only. An image that is not what it was declared as, or
that would make a tool open other files (backing files, data files, odd extents), is refused with the reason.
"""

from typing import Any

from oslo_utils.imageutils import format_inspector

from .errors import FormatMismatch, UnsafeImage

# Declared disk_format → formats by which the inspectors may know it.
_EXPECTED: dict[str, frozenset[str]] = {
    "qcow2": frozenset({"qcow2"}),
    "raw": frozenset({"raw", "gpt"}),
    "vmdk": frozenset({"vmdk"}),
    "vdi": frozenset({"vdi"}),
    "vhd": frozenset({"vhd"}),
    "vhdx": frozenset({"vhdx"}),
    "iso": frozenset({"iso", "gpt"}),
    # Kernels, ramdisks and bare file systems: nothing that a tool would take for a disk with other files behind it.
    "ami": frozenset({"raw", "gpt"}),
    "ari": frozenset({"raw"}),
    "aki": frozenset({"raw"}),
    "ploop": frozenset({"raw"}),
}
_AS_THEY_ARE = frozenset({"raw", "ami", "ari", "aki", "ploop"})


class Inspection:
    """`take` each chunk, then `finish`."""

    def __init__(self, declared: str) -> None:
        self._expected = _EXPECTED[declared]
        self._declared = declared
        self._watching: dict[str, Any] = {
            name: kind() for name, kind in format_inspector.ALL_FORMATS.items() if name != "raw"
        }
        self._size = 0

    def take(self, chunk: bytes) -> None:
        self._size += len(chunk)
        for name, inspector in list(self._watching.items()):
            if inspector.complete and not inspector.format_match:
                del self._watching[name]
                continue
            try:
                inspector.eat_chunk(chunk)
            except format_inspector.ImageFormatError:
                del self._watching[name]

    def finish(self) -> int | None:
        """The virtual size in bytes, if it can be known. Raises `FormatMismatch`, `UnsafeImage`."""
        for inspector in self._watching.values():
            if hasattr(inspector, "finish"):
                inspector.finish()
        found = {name: one for name, one in self._watching.items() if _matches(one)}
        names = set(found) or {"raw"}
        known = names & self._expected
        if not known or (self._declared in _AS_THEY_ARE and names - self._expected):
            raise FormatMismatch(declared=self._declared, found=" or ".join(sorted(names)))
        inspector = found.get(next(iter(known)))
        if inspector is None or self._declared in _AS_THEY_ARE:
            return self._size
        try:
            inspector.safety_check()
        except format_inspector.SafetyCheckFailed as error:
            raise UnsafeImage(
                reason="; ".join(f"{name}: {what}" for name, what in error.failures.items())
            ) from error
        except format_inspector.ImageFormatError as error:
            raise UnsafeImage(reason=str(error)) from error
        return int(inspector.virtual_size)


def _matches(inspector: Any) -> bool:
    try:
        return bool(inspector.format_match)
    except format_inspector.ImageFormatError:
        return False
