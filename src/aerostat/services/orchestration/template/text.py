"""From text to plain data: YAML or JSON, within limits.

The result is made of dict (string keys only), list, str, int, float, bool and None, and no part of it is
shared. Dates stay strings; yes/no/on/off are booleans, as YAML 1.1 has it and Heat reads it.

Danger: libyaml's composer recurses in C and takes the process down when a text is nested 20,000 deep, so we
never let it compose. We read its events, which need no stack, and build the data ourselves. There, an alias
costs as many nodes as what it stands for, so that a bomb of aliases meets the same limit as a long text.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NoReturn, cast

import msgspec
import yaml

from .errors import InvalidTemplateFormat, RequestLimitExceeded

_LONGEST_NUMBER = 400  # characters; YAML's numbers to the base of 60 take long to work out

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_STRINGS = {_TAG + name for name in ("str", "timestamp", "value")}
_COLLECTIONS = {None, "!", _TAG + "map", _TAG + "seq"}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How large a text may be. `nodes` counts scalars, lists and maps, and an alias as what it stands for."""

    size_bytes: int = 524_288
    depth: int = 100
    nodes: int = 100_000


def load(
    source: str | bytes | Mapping[str, Any], limits: Limits = Limits(), what: str = "template"
) -> dict[str, Any]:
    """Read a template or an environment (`what` names it in errors); a mapping is checked and copied.

    Raises InvalidTemplateFormat when it is no mapping or unreadable, RequestLimitExceeded when too large.
    """
    data = source if isinstance(source, Mapping) else _load_text(source, limits, what)
    if not isinstance(data, Mapping):
        raise InvalidTemplateFormat(f"The {what} is not a JSON object or YAML mapping.")
    if isinstance(source, Mapping) or isinstance(data, _FromJSON):
        data = _Copier(limits, what).copy(data, 1)
    return cast(dict[str, Any], data)


class _FromJSON(dict[str, Any]):
    """An object of a JSON text: still to be held against the limits."""


def _load_text(source: str | bytes, limits: Limits, what: str) -> Any:
    try:
        size = len(source) if isinstance(source, bytes) or source.isascii() else len(source.encode())
    except UnicodeEncodeError as error:
        _refuse(what, error)
    if size > limits.size_bytes:
        raise RequestLimitExceeded(
            f"{what.capitalize()} size ({size} bytes) exceeds maximum allowed size"
            f" ({limits.size_bytes} bytes)."
        )
    if isinstance(source, bytes):
        try:
            source = source.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidTemplateFormat(f"The {what} is not UTF-8 text: {error}") from None

    def unique(pairs: list[tuple[str, Any]]) -> _FromJSON:
        found = _FromJSON(pairs)
        if len(found) < len(pairs):
            twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
            _refuse(what, f'found duplicate key "{twice}"')
        return found

    try:
        return json.loads(source, object_pairs_hook=unique)
    except RecursionError:
        raise _too_deep(limits, what) from None
    except ValueError:
        return _Builder(source, limits, what).build()


def _refuse(what: str, why: object) -> NoReturn:
    raise InvalidTemplateFormat(f"Error parsing {what}: {why}")


def _too_deep(limits: Limits, what: str) -> RequestLimitExceeded:
    return RequestLimitExceeded(f"{what.capitalize()} is nested deeper than {limits.depth} levels.")


def _too_many(limits: Limits, what: str) -> RequestLimitExceeded:
    return RequestLimitExceeded(
        f"{what.capitalize()} has more than {limits.nodes} values,"
        " with each alias counted as what it stands for."
    )


def _key(value: Any) -> str:
    """A mapping key as JSON would write it."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    return "null" if value is None else str(value)


def _bounded(number: float, what: str) -> float:
    """Refuse numbers that cannot be written as JSON everywhere."""
    if isinstance(number, int) and number.bit_length() > 64:
        _refuse(what, "an integer has more than 64 bits")
    if isinstance(number, float) and not math.isfinite(number):
        _refuse(what, f"{number} is not a finite number")
    return number


def _writable(text: str, what: str) -> str:
    """Refuse halves of surrogate pairs, which JSON can escape and nobody can store."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            _refuse(what, error)
    return text


class _Copier:
    """Copies decoded data, checking it against the limits on the way."""

    def __init__(self, limits: Limits, what: str) -> None:
        self._limits = limits
        self._what = what
        self._nodes = 0

    def copy(self, value: Any, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > self._limits.nodes:
            raise _too_many(self._limits, self._what)
        if isinstance(value, Mapping):
            self._check_depth(depth)
            return {
                _writable(_key(key), self._what): self.copy(item, depth + 1) for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            self._check_depth(depth)
            return [self.copy(item, depth + 1) for item in value]
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return _writable(value, self._what)
        if isinstance(value, int | float):
            return _bounded(value, self._what)
        _refuse(self._what, f"a value of type {type(value).__name__} cannot stand here")

    def _check_depth(self, depth: int) -> None:
        if depth > self._limits.depth:
            raise _too_deep(self._limits, self._what)


class _Frame:
    """A list or map that is being read. A map waits in turn for a key and for its value."""

    __slots__ = ("anchor", "first_node", "height", "items", "key", "map", "merges", "waits_for_key")

    def __init__(self, is_map: bool, anchor: str | None, first_node: int) -> None:
        self.map: dict[str, Any] | None = {} if is_map else None
        self.items: list[Any] = []
        self.merges: list[Any] = []
        self.key: Any = None
        self.waits_for_key = True
        self.anchor = anchor
        self.first_node = first_node
        self.height = 1  # how many levels lie in it, itself included

    def value(self) -> Any:
        if self.map is None:
            return self.items
        if not self.merges:
            return self.map
        merged: dict[str, Any] = {}
        for other in reversed(self.merges):
            merged.update(other)
        return merged | self.map


class _Anchored:
    """What an alias stands for, and what it costs."""

    __slots__ = ("height", "nodes", "value")

    def __init__(self, value: Any, nodes: int, height: int) -> None:
        self.value = value
        self.nodes = nodes
        self.height = height


_MERGE_KEY = object()


class _Builder:
    """Builds data from the events of one YAML document, without recursion."""

    def __init__(self, text: str, limits: Limits, what: str) -> None:
        self._text = text
        self._limits = limits
        self._what = what
        self._nodes = 0
        self._frames: list[_Frame] = []
        self._anchors: dict[str, _Anchored | None] = {}
        self._root: Any = {}

    def build(self) -> Any:
        """The document's data; an empty text is an empty map."""
        try:
            parser = _Parser(self._text)
            resolver = parser.resolve
            documents = 0
            while (event := parser.get_event()) is not None:
                kind = type(event)
                if kind is yaml.ScalarEvent:
                    self._count(1)
                    self._place(self._scalar(event, resolver), event.anchor, event)
                elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                    self._open(event, kind is yaml.MappingStartEvent)
                elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                    self._close(event)
                elif kind is yaml.AliasEvent:
                    self._alias(event)
                elif kind is yaml.DocumentStartEvent:
                    documents += 1
                    if documents > 1:
                        self._refuse(event, "expected a single document, but found another one")
        except yaml.YAMLError as error:
            _refuse(self._what, error)
        return {} if self._root is None else self._root

    def _refuse(self, event: Any, why: str) -> NoReturn:
        mark = event.start_mark
        _refuse(self._what, f"{why}, line {mark.line + 1}, column {mark.column + 1}")

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > self._limits.nodes:
            raise _too_many(self._limits, self._what)

    def _scalar(self, event: Any, resolver: Any) -> Any:
        tag, text = event.tag, event.value
        if tag is None or tag == "!":
            if not event.implicit[0]:  # quoted
                return text
            tag = resolver(yaml.ScalarNode, text, event.implicit)
        if tag in _STRINGS:
            return text
        if tag == _MERGE:
            frame = self._frames[-1] if self._frames else None
            return _MERGE_KEY if frame and frame.map is not None and frame.waits_for_key else text
        construct = _CONSTRUCT.get(tag)
        if construct is None:
            self._refuse(event, f"the tag {tag!r} is not allowed")
        if len(text) > _LONGEST_NUMBER:
            self._refuse(event, "a number has too many digits")
        try:
            value = construct(yaml.ScalarNode(tag, text))
        except (ValueError, KeyError, IndexError):
            self._refuse(event, f"{text!r:.80} is not of type {tag.removeprefix(_TAG)}")
        return value if value is None or isinstance(value, bool) else _bounded(value, self._what)

    def _open(self, event: Any, is_map: bool) -> None:
        if event.tag not in _COLLECTIONS:
            self._refuse(event, f"the tag {event.tag!r} is not allowed")
        self._count(1)
        frame = _Frame(is_map, event.anchor, self._nodes)
        self._frames.append(frame)
        if len(self._frames) > self._limits.depth:
            raise _too_deep(self._limits, self._what)
        if event.anchor:
            self._anchors[event.anchor] = None  # not complete: an alias to it would have no end

    def _close(self, event: Any) -> None:
        frame = self._frames.pop()
        value = frame.value()
        if frame.anchor:
            self._anchors[frame.anchor] = _Anchored(value, self._nodes - frame.first_node + 1, frame.height)
        self._place(value, None, event, frame.height)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            self._refuse(event, f"found undefined alias {event.anchor!r}")
        anchored = self._anchors[event.anchor]
        if anchored is None:
            self._refuse(event, f"the alias {event.anchor!r} contains itself")
        self._count(anchored.nodes)
        if len(self._frames) + anchored.height > self._limits.depth:
            raise _too_deep(self._limits, self._what)
        self._place(_copy(anchored.value), None, event, anchored.height)

    def _place(self, value: Any, anchor: str | None, event: Any, height: int = 0) -> None:
        """Put a finished value where the innermost open list or map waits for it."""
        if anchor:
            self._anchors[anchor] = _Anchored(value, 1, 0)
        if not self._frames:
            self._root = value
            return
        frame = self._frames[-1]
        frame.height = max(frame.height, height + 1)
        if frame.map is None:
            frame.items.append(value)
        elif frame.waits_for_key:
            if isinstance(value, dict | list):
                self._refuse(event, "a map or list cannot be a key")
            frame.key = value if value is _MERGE_KEY else _key(value)
            frame.waits_for_key = False
            if frame.key is not _MERGE_KEY and frame.key in frame.map:
                self._refuse(event, f'found duplicate key "{frame.key}"')
        else:
            frame.waits_for_key = True
            if frame.key is _MERGE_KEY:
                self._merge(frame, value, event)
            else:
                frame.map[frame.key] = value

    def _merge(self, frame: _Frame, value: Any, event: Any) -> None:
        others = value if isinstance(value, list) else [value]
        if not all(isinstance(other, dict) for other in others):
            self._refuse(event, "expected a map or a list of maps for merging")
        frame.merges.extend(others)


def _copy(value: Any) -> Any:
    if type(value) is dict:
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if type(value) is list else value


_constructor = yaml.constructor.SafeConstructor()
_CONSTRUCT = {
    _TAG + "null": lambda node: None,
    _TAG + "bool": _constructor.construct_yaml_bool,
    _TAG + "int": _constructor.construct_yaml_int,
    _TAG + "float": _constructor.construct_yaml_float,
}
