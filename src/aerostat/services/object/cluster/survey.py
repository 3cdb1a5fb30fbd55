"""What devices tell of the fragments of one object: which version counts, and whether it can be read. Pure."""

from collections.abc import Iterable, Mapping

from ..stores.held import Held
from ..stores.protocol import OpenFragment
from ..timestamp import Timestamp
from .layout import Target


class Survey:
    """`wanted`: fragments that make an object."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self.opened: list[tuple[Target, OpenFragment]] = []
        self._sources: dict[Timestamp, dict[int, list[Target]]] = {}
        self.newest: Held | None = None
        """The newest version that any device calls durable, or tombstone."""

    def take(self, target: Target, found: OpenFragment | None) -> None:
        if found is None:
            return
        self.opened.append((target, found))
        self._hear(target, found.versions)

    def _hear(self, target: Target, versions: Iterable[Held]) -> None:
        for version in versions:
            if version.fragment is not None:
                by_index = self._sources.setdefault(version.timestamp, {})
                by_index.setdefault(version.fragment, []).append(target)
            counts = version.is_durable or version.is_gone
            if counts and (self.newest is None or _rank(version) > _rank(self.newest)):
                self.newest = version

    def sources(self, at: Timestamp) -> Mapping[int, list[Target]]:
        """Who has which fragment of that time, be it not yet called durable there."""
        return self._sources.get(at, {})

    def is_gone(self) -> bool:
        """As far as is known: what counts is a tombstone."""
        return self.newest is not None and self.newest.is_gone

    def is_readable(self) -> bool:
        """As far as is known: there are enough fragments of what counts."""
        if self.newest is None or self.newest.is_gone:
            return False
        return len(self.sources(self.newest.timestamp)) >= self._wanted


def _rank(version: Held) -> tuple[Timestamp, bool]:
    return version.timestamp, version.is_gone
