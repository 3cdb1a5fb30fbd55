"""Who may do what with which properties of images, by a file in upstream's format.

https://docs.openstack.org/glance/latest/admin/property-protections.html. A section is a regular expression; the first
that is found in a property's name says which roles (or which rule of the policy file) may create, read, update and
delete it. `@` is everybody, `!` nobody. What matches no section is for nobody. Without a file nothing is protected.

The file is read again when it changes; one that cannot be read then changes nothing, and is told of in the log.
"""

import configparser
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from aerostat.kernel.config import ConfigError
from aerostat.kernel.http import Request
from aerostat.kernel.log import get_logger

from .config import ImageConfig
from .errors import Reserved

Operation = Literal["create", "read", "update", "delete"]
OPERATIONS: tuple[Operation, ...] = ("create", "read", "update", "delete")

log = get_logger(__name__)


class Section(NamedTuple):
    matches: re.Pattern[str]
    who: dict[Operation, frozenset[str]]


class Protections:
    def __init__(self, config: ImageConfig) -> None:
        """Raises `ConfigError` when the file says nothing that makes sense."""
        self._file = config.property_protection_file
        self._by_policy = config.property_protection_rule_format == "policies"
        self._sections: list[Section] = []
        self._read_at_ns = -1
        if self._file is not None:
            self._sections = read_sections(self._file, by_policy=self._by_policy)
            self._read_at_ns = self._file.stat().st_mtime_ns

    @property
    def is_on(self) -> bool:
        return self._file is not None

    def may(self, req: Request, operation: Operation, name: str) -> bool:
        if self._file is None:
            return True
        self._look()
        section = next((one for one in self._sections if one.matches.search(name)), None)
        who: frozenset[str] = section.who[operation] if section is not None else frozenset()
        if not who or "!" in who:
            return False
        if "@" in who:
            return True
        if self._by_policy:
            return any(req.allows(rule) for rule in who)
        return not who.isdisjoint(role.lower() for role in (*req.context.roles, *req.context.service_roles))

    def check(self, req: Request, operation: Operation, name: str) -> None:
        """Raises `Reserved`."""
        if not self.may(req, operation, name):
            raise Reserved(name=name)

    def readable(self, req: Request, names: Iterable[str]) -> set[str]:
        return {name for name in names if self.may(req, "read", name)}

    def _look(self) -> None:
        assert self._file is not None
        try:
            changed_at_ns = self._file.stat().st_mtime_ns
            if changed_at_ns == self._read_at_ns:
                return
            self._read_at_ns = changed_at_ns
            self._sections = read_sections(self._file, by_policy=self._by_policy)
        except (OSError, ConfigError) as error:
            log.error("image.protections_not_read", reason=str(error))


def read_sections(file: Path, *, by_policy: bool) -> list[Section]:
    """Raises `ConfigError`."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read_text(), str(file))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ConfigError(f"image.property_protection_file: {error}") from None
    return [_section(file, name, dict(parser.items(name)), by_policy) for name in parser.sections()]


def _section(file: Path, name: str, given: dict[str, str], by_policy: bool) -> Section:
    where = f"{file}, [{name}]"
    try:
        matches = re.compile(name)
    except re.error as error:
        raise ConfigError(f"{where} is no regular expression: {error}") from None
    who: dict[Operation, frozenset[str]] = {}
    for operation in OPERATIONS:
        if operation not in given:
            raise ConfigError(f"{where} does not say who may {operation}")
        words = frozenset(word.strip() for word in given[operation].split(",") if word.strip())
        if {"@", "!"} <= words:
            raise ConfigError(f"{where}: {operation} is for everybody and for nobody")
        if by_policy and len(words) > 1:
            raise ConfigError(
                f"{where}: {operation} names more than one rule; they are combined in the policy file"
            )
        who[operation] = words if by_policy else frozenset(word.lower() for word in words)
    return Section(matches, who)


def protections_of(req: Request) -> Protections:
    protections: Protections = req.house.state["image"]["protections"]
    return protections
