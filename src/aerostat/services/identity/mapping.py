"""The mapping engine of federation: from what an identity provider says of a user to who that is here.

A mapping is a list of rules. The `remote` part of a rule says which attributes it wants and what they must be; where
all of it holds, the `local` part is filled with what was matched and adds to the result. Nothing here touches the
database.
https://docs.openstack.org/keystone/latest/admin/federation/mapping_combinations.html

    mapped = apply(rules, {"name": "ann", "groups": "dev;ops"})
    mapped.user.name, mapped.group_names
"""

import ast
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from aerostat.kernel.errors import BadRequest

from .mapping_schema import DEFAULT_VERSION, PROJECTS_CHECK, SCHEMAS

Attributes = Mapping[str, list[str]]
Domain = Mapping[str, str]


class MappingError(Exception):
    """The rules and what the provider says do not go together; the text says where."""


class MappedUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user made of the mapping (`ephemeral`), or one that is there already (`local`)."""

    id: str | None = None
    name: str | None = None
    email: str | None = None
    domain: Domain | None = None
    type: Literal["ephemeral", "local"] = "ephemeral"


class MappedGroup(msgspec.Struct, frozen=True):
    name: str
    domain: Domain


class MappedProject(msgspec.Struct, frozen=True):
    """A project that is made if it is not there, and the roles the user has on it."""

    name: str
    roles: tuple[str, ...]
    domain: Domain | None = None


class Mapped(msgspec.Struct, frozen=True, kw_only=True):
    user: MappedUser
    group_ids: tuple[str, ...] = ()
    group_names: tuple[MappedGroup, ...] = ()
    projects: tuple[MappedProject, ...] = ()


def apply(
    rules: Iterable[Mapping[str, Any]], said: Mapping[str, str], version: str = DEFAULT_VERSION
) -> Mapped:
    """Who the provider's user is here. Several values of one attribute are parted by semicolons.

    `version` is the mapping's `schema_version`: with 2.0 a rule's `domain` is also that of its user and projects, with
    3.0 projects may come as JSON in one attribute. Raises `MappingError`.
    """
    attributes = {name: value.split(";") for name, value in said.items()}
    locals_: list[dict[str, Any]] = []
    for rule in rules:
        matched = _matched(rule["remote"], attributes)
        if matched is not None:
            locals_.extend(_filled(local, matched) for local in rule["local"])
    if not locals_:
        raise MappingError("No rule of the mapping fits what the identity provider says of the user.")
    users = [(one["user"], one.get("domain")) for one in locals_ if "user" in one]
    group_ids: dict[str, None] = {}
    groups: dict[tuple[str, str], MappedGroup] = {}
    projects: list[MappedProject] = []
    for local in locals_:
        group_ids.update(dict.fromkeys(_group_ids(local)))
        for group in _groups(local):
            groups[(group.name, json.dumps(group.domain, sort_keys=True))] = group
        projects = _projects(local, version) or projects
    return Mapped(
        user=_user(users, version),
        group_ids=tuple(group_ids),
        group_names=tuple(groups.values()),
        projects=tuple(projects),
    )


def check_rules(rules: Any, version: str) -> None:
    """Raises `BadRequest` for rules that could never be applied."""
    if version not in SCHEMAS:
        raise BadRequest(
            f"Invalid input for field 'schema_version': {version} is none of {', '.join(SCHEMAS)}."
        )
    SCHEMAS[version].check(rules)
    mistake = find_mistake(rules)
    if mistake is not None:
        raise BadRequest(f"Invalid input for field 'rules': {mistake}.")


def find_mistake(rules: Iterable[Mapping[str, Any]]) -> str | None:
    """What can be seen to be wrong before anybody comes: patterns that are none, marks without a match."""
    for number, rule in enumerate(rules, 1):
        matches = [one for one in rule["remote"] if not {"any_one_of", "not_any_of"} & one.keys()]
        for requirement in rule["remote"]:
            for pattern in _values(requirement) if requirement.get("regex") else ():
                try:
                    re.compile(pattern)
                except (re.error, TypeError, RecursionError, OverflowError) as error:
                    return f"rule {number}: {pattern!r} is not a regular expression: {error}"
        for mark in _marks(rule["local"]):
            if mark >= len(matches):
                return f"rule {number}: {{{mark}}} has nothing to stand for, there are {len(matches)} matches"
    return None


# The remote part: does the rule fit, and what did it match?


def _matched(remote: Iterable[Mapping[str, Any]], attributes: Attributes) -> list[list[str]] | None:
    """The values for the marks {0}, {1} …; None when the rule does not fit.

    `any_one_of` and `not_any_of` only decide and match nothing.
    """
    matched: list[list[str]] = []
    for requirement in remote:
        given = attributes.get(requirement["type"])
        if not given:
            return None
        named = [value for value in given if _is_named(value, requirement)]
        if "any_one_of" in requirement:
            if not named:
                return None
        elif "not_any_of" in requirement:
            if named:
                return None
        elif "blacklist" in requirement:
            matched.append([value for value in given if value not in named])
        elif "whitelist" in requirement:
            matched.append(named)
        else:
            matched.append(given)
    return matched


def _values(requirement: Mapping[str, Any]) -> list[Any]:
    for key in ("any_one_of", "not_any_of", "blacklist", "whitelist"):
        if key in requirement:
            return list(requirement[key])
    return []


def _is_named(value: str, requirement: Mapping[str, Any]) -> bool:
    if requirement.get("regex"):
        return any(re.search(pattern, value) for pattern in _values(requirement))
    return value in _values(requirement)


# The local part: marks filled with what was matched.

_MARK = re.compile(r"\{(\d+)\}")


def _marks(local: Any) -> set[int]:
    if isinstance(local, str):
        return {int(number) for number in _MARK.findall(local)}
    parts = local.values() if isinstance(local, dict) else local if isinstance(local, list) else ()
    return {mark for part in parts for mark in _marks(part)}


def _filled(local: Any, matched: list[list[str]]) -> Any:
    """`local` with each mark replaced. A mark that is a text by itself and matched several stays a list."""
    if isinstance(local, dict):
        return {key: _filled(value, matched) for key, value in local.items()}
    if isinstance(local, list):
        return [_filled(value, matched) for value in local]
    if not isinstance(local, str):
        return local
    if max(_marks(local), default=-1) >= len(matched):
        raise MappingError(f"{local!r} names more matches than the rule has.")
    alone = _MARK.fullmatch(local)
    if alone is not None and len(matched[int(alone[1])]) != 1:
        return list(matched[int(alone[1])])
    return _MARK.sub(lambda mark: ";".join(matched[int(mark[1])]), local)


# What the filled parts say.


def _user(users: list[tuple[dict[str, Any], Domain | None]], version: str) -> MappedUser:
    """The first user that a rule names; later ones do not count."""
    if not users:
        return MappedUser()
    named, domain = users[0]
    for key in ("id", "name", "email"):
        if not isinstance(named.get(key, ""), str):
            raise MappingError(f"A user has one {key}, and the provider says {named[key]}.")
    if "domain" not in named and domain is not None and version != "1.0":
        named = {**named, "domain": domain}
    return msgspec.convert(named, MappedUser)


def _listed(value: Any) -> list[Any]:
    """A list, or a text that may be one: `"['a', 'b']"`."""
    if isinstance(value, list):
        return value
    try:
        found = ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return [value]
    return found if isinstance(found, list) else [value]


def _group_ids(local: Mapping[str, Any]) -> list[str]:
    found = [str(id) for id in _listed(local["group_ids"])] if "group_ids" in local else []
    if "id" in local.get("group", {}):
        found.append(local["group"]["id"])
    return found


def _groups(local: Mapping[str, Any]) -> list[MappedGroup]:
    found = []
    if "name" in local.get("group", {}):
        found.append(MappedGroup(local["group"]["name"], local["group"]["domain"]))
    for one in _listed(local["groups"]) if "groups" in local else ():
        found.append(_group(one, local.get("domain")))
    return found


def _group(said: Any, domain: Domain | None) -> MappedGroup:
    """A name in the rule's domain, or `JSON:{"name": …, "domain": {…}}` with one of its own."""
    if isinstance(said, str) and said.startswith("JSON:"):
        try:
            said = json.loads(said.removeprefix("JSON:"))
        except (ValueError, RecursionError):
            raise MappingError(f"{said!r} is not JSON.") from None
    if isinstance(said, dict):
        name, its_domain = said.get("name"), said.get("domain", domain)
        if not isinstance(name, str) or not isinstance(its_domain, dict):
            raise MappingError(f"A group has a name and a domain, and the provider says {said}.")
        return MappedGroup(name, its_domain)
    if domain is None:
        raise MappingError("A rule with groups names their domain as well.")
    return MappedGroup(str(said), domain)


def _projects(local: Mapping[str, Any], version: str) -> list[MappedProject]:
    named = list(local.get("projects", ()))
    if "projects_json" in local:
        named += _read_projects(local["projects_json"])
    default = local.get("domain") if version != "1.0" else None
    return [
        MappedProject(one["name"], tuple(role["name"] for role in one["roles"]), one.get("domain") or default)
        for one in named
    ]


def _read_projects(said: Any) -> list[Any]:
    text = ";".join(said) if isinstance(said, list) else said  # the semicolons were the JSON's own
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise MappingError("The projects that the provider names are not JSON.") from None
    for error in PROJECTS_CHECK.iter_errors(found):
        raise MappingError(f"The projects that the provider names: {error.message}")
    return list(found)
