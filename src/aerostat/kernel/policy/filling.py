"""Reading values by name, and the right side of a clause: text with `%(key)s` taken from the target.

A key is first looked up whole, as upstream does with its flattened targets, and then walked by its dots.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Lookup = Callable[[str, object], object]
"""`get(key, default)` of whatever the credentials or the target are."""

MISSING = object()


def view(source: object) -> Lookup:
    """Read `source` by name, be it a mapping or an object with attributes."""
    if isinstance(source, Mapping):
        return source.get
    return lambda key, default: getattr(source, key, default)


_HOLE = re.compile(r"%(?:\((?P<key>[^)]*)\)s|(?P<percent>%))")


@dataclass(frozen=True, slots=True)
class Filling:
    """The right side of a clause, cut into fixed text and keys of the target."""

    fixed: tuple[str, ...]
    keys: tuple[str, ...]
    """One fewer than `fixed`: text, key, text, key, text."""

    @classmethod
    def parse(cls, text: str) -> "Filling":
        fixed, keys, end = [""], [], 0
        for hole in _HOLE.finditer(text):
            fixed[-1] += _plain(text[end : hole.start()])
            end = hole.end()
            if hole["percent"]:
                fixed[-1] += "%"
            else:
                keys.append(hole["key"])
                fixed.append("")
        fixed[-1] += _plain(text[end:])
        return cls(tuple(fixed), tuple(keys))

    @property
    def is_fixed(self) -> bool:
        return not self.keys

    def compile(self) -> Callable[[Lookup], str | None]:
        """From the target to the text, or None when the target lacks a key."""
        if not self.keys:
            text = self.fixed[0]
            return lambda target: text
        getters = [_getter(key) for key in self.keys]
        if self.fixed == ("", ""):
            (get,) = getters

            def fill_one(target: Lookup) -> str | None:
                value = get(target)
                return None if value is MISSING else str(value)

            return fill_one
        first, *after = self.fixed

        def fill(target: Lookup) -> str | None:
            text = first
            for get, piece in zip(getters, after, strict=True):
                value = get(target)
                if value is MISSING:
                    return None
                text += f"{value!s}{piece}"
            return text

        return fill


def _plain(text: str) -> str:
    if "%" in text:
        raise ValueError(f"only %(key)s and %% may follow a per cent sign, not {text!r}")
    return text


def _getter(key: str) -> Callable[[Lookup], object]:
    first, *rest = key.split(".")

    def get(target: Lookup) -> object:
        value = target(key, MISSING)
        if value is MISSING and rest:
            value = target(first, MISSING)
            for name in rest:
                if value is MISSING:
                    break
                value = view(value)(name, MISSING)
        return value

    return get
