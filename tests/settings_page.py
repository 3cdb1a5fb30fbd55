"""A room's settings, as its code has them and as their page in the documents says."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

Setting = tuple[str, str, str]
"""Its table, its name, its default as TOML has it."""
_HEADING = re.compile(r"## `\[+([a-zA-Z_.]+)\]+`.*")
_ROW = re.compile(r"\| `(\w+)` \| (.*?) \|.*\|")


def of_code(sections: Iterable[tuple[str, Any]]) -> Iterator[Setting]:
    """What the classes of these tables hold."""
    for table, kind in sections:
        for field in msgspec.structs.fields(kind):
            default = field.default
            if field.default_factory is not msgspec.NODEFAULT:
                default = field.default_factory()
            yield table, field.encode_name, written(default)


def of_page(page: Path) -> Iterator[Setting]:
    table = ""
    for line in page.read_text().splitlines():
        if heading := _HEADING.fullmatch(line):
            table = heading[1]
        elif row := _ROW.fullmatch(line):
            yield table, row[1], row[2]


def written(value: Any) -> str:
    """A default, as TOML has it."""
    match value:
        case msgspec.NODEFAULT:
            return "must be said"
        case None:
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case str():
            return "see the module" if set(value) & set('|`<"') else f'`"{value}"`'
        case float() | int():
            return f"`{value:.0f}`" if value == int(value) else f"`{value:g}`"
        case dict() | tuple():
            return f"`{msgspec.json.encode(value).decode()}`" if value else "empty"
    return "see below"
