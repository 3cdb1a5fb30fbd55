"""Template versions: what each of them understands.

Every HOT version is the one before it and a line of differences, as
https://docs.openstack.org/heat/latest/template_guide/hot_spec.html tells them. A function that a version lost
is refused. A function that it does not have yet is refused too, unless its name is an everyday word
(`filter`, `if`): such a map stays data, as in Heat.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import InvalidTemplateVersion
from .functions import cloudformation as cfn
from .functions import lists_and_maps as lists
from .functions import logic, query, references, strings
from .snippets import Function, Language


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How sections and keys are spelled. A section that is None does not exist."""

    kind: str
    version_keys: tuple[str, ...]
    description: str
    parameter_groups: str | None
    parameters: str
    mappings: str | None
    conditions: str
    resources: str
    outputs: str
    type: str
    properties: str
    metadata: str
    depends_on: str
    deletion_policy: str
    update_policy: str
    external_id: str | None
    condition: str
    value: str


HOT = Dialect(
    kind="hot",
    version_keys=("heat_template_version",),
    description="description",
    parameter_groups="parameter_groups",
    parameters="parameters",
    mappings=None,
    conditions="conditions",
    resources="resources",
    outputs="outputs",
    type="type",
    properties="properties",
    metadata="metadata",
    depends_on="depends_on",
    deletion_policy="deletion_policy",
    update_policy="update_policy",
    external_id="external_id",
    condition="condition",
    value="value",
)

CFN = Dialect(
    kind="cfn",
    version_keys=("AWSTemplateFormatVersion", "HeatTemplateFormatVersion"),
    description="Description",
    parameter_groups=None,
    parameters="Parameters",
    mappings="Mappings",
    conditions="Conditions",
    resources="Resources",
    outputs="Outputs",
    type="Type",
    properties="Properties",
    metadata="Metadata",
    depends_on="DependsOn",
    deletion_policy="DeletionPolicy",
    update_policy="UpdatePolicy",
    external_id=None,
    condition="Condition",
    value="Value",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version: `key: number` at the head of a template."""

    key: str
    number: str
    aliases: tuple[str, ...] = ()
    dialect: Dialect
    functions: Mapping[str, Function]
    condition_functions: Mapping[str, Function]
    has_conditions: bool
    deletion_policies: Mapping[str, str]
    has_modulo: bool = False
    has_tags: bool = False
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`heat_template_version.2018-08-31`, as the list of versions names it."""
        return f"{self.key}.{self.number}"

    @property
    def language(self) -> Language:
        """How snippets are read, `if` included."""
        return Language(self.functions, self.refused, self.condition_language)

    @property
    def condition_language(self) -> Language:
        """How conditions are read: other functions have no place there."""
        forbidden = {
            name: f'The function "{name}" is invalid in this context'
            for name in self.functions
            if name not in self.condition_functions
        }
        return Language(self.condition_functions, dict(self.refused) | forbidden)


def _by_name(*functions: Function) -> dict[str, Function]:
    return {function.name: function for function in functions}


_CFN_IN_HOT = _by_name(
    cfn.get_azs,
    cfn.ref,
    strings.join_cfn,
    cfn.split,
    cfn.fn_replace,
    cfn.base64,
    cfn.member_list_to_map,
    references.resource_facade_cfn,
)
_FIRST = _by_name(
    references.get_attr_then_select,
    references.get_file,
    references.get_param,
    references.get_resource,
    references.resource_facade,
    strings.list_join_one,
    strings.str_replace_plain,
    cfn.fn_select,
)
_CONDITIONS = _by_name(references.get_param, logic.equals, logic.not_, logic.and_, logic.or_)
_POLICIES = {word: word for word in ("Delete", "Retain", "Snapshot")}
_POLICIES_LOWER = _POLICIES | {word.lower(): word for word in _POLICIES}

# number, alias, functions that are new or have changed, functions that are gone
_HOT_STEPS: tuple[tuple[str, str | None, dict[str, Function], Iterable[str]], ...] = (
    ("2013-05-23", None, _FIRST | _CFN_IN_HOT, ()),
    ("2014-10-16", None, _by_name(references.get_attr), _CFN_IN_HOT),
    ("2015-04-30", None, _by_name(lists.repeat_lists, strings.digest), ()),
    (
        "2015-10-15",
        None,
        _by_name(references.get_attr_or_all, strings.list_join, strings.str_replace, strings.str_split),
        ("Fn::Select",),
    ),
    ("2016-04-08", None, _by_name(lists.map_merge), ()),
    (
        "2016-10-14",
        "newton",
        _by_name(query.yaql, lists.map_replace, logic.if_, lists.repeat_maps),
        (),
    ),
    ("2017-02-24", "ocata", _by_name(lists.filter_, strings.str_replace_strict), ()),
    (
        "2017-09-01",
        "pike",
        _by_name(
            strings.make_url,
            lists.list_concat,
            lists.list_concat_unique,
            strings.str_replace_vstrict,
            lists.contains,
            lists.repeat,
        ),
        (),
    ),
    ("2018-03-02", "queens", {}, ()),
    ("2018-08-31", "rocky", {}, ()),
    ("2021-04-16", "wallaby", _by_name(logic.if_nullable), ()),
)
_EVERYDAY_WORDS = {"digest", "repeat", "if", "filter", "contains"}


def _hot_versions() -> Iterable[Version]:
    functions: dict[str, Function] = {}
    gone: set[str] = set()
    since: dict[str, str] = {}
    for number, _, added, _ in _HOT_STEPS:
        for name in added:
            since.setdefault(name, number)
    for number, alias, added, removed in _HOT_STEPS:
        gone |= set(removed)
        functions = {name: one for name, one in (functions | added).items() if name not in gone}
        refused = {name: f"The function {name} is not supported in this version of HOT." for name in gone}
        for name, first in since.items():
            if first > number and name not in _EVERYDAY_WORDS:
                refused[name] = (
                    f"The function {name} is not supported in this version of HOT, but since {first}."
                )
        conditions = _CONDITIONS | (_by_name(query.yaql, lists.contains) if number >= "2017-09-01" else {})
        yield Version(
            key="heat_template_version",
            number=number,
            aliases=(alias,) if alias else (),
            dialect=HOT,
            functions=functions,
            condition_functions=conditions if number >= "2016-10-14" else {},
            has_conditions=number >= "2016-10-14",
            deletion_policies=_POLICIES_LOWER if number >= "2016-10-14" else _POLICIES,
            has_modulo=number >= "2017-02-24",
            has_tags=number >= "2018-03-02",
            refused=refused,
        )


_CFN_FUNCTIONS = _by_name(
    cfn.find_in_map,
    cfn.get_azs,
    cfn.ref,
    cfn.get_att,
    cfn.fn_select,
    strings.join_cfn,
    cfn.split,
    cfn.fn_replace,
    cfn.base64,
    cfn.member_list_to_map,
    references.resource_facade_cfn,
)


def _cfn_versions() -> Iterable[Version]:
    yield Version(
        key="AWSTemplateFormatVersion",
        number="2010-09-09",
        dialect=CFN,
        functions=_CFN_FUNCTIONS | _by_name(cfn.fn_if),
        condition_functions=_by_name(
            cfn.fn_equals, cfn.ref_param, cfn.find_in_map, logic.not_cfn, cfn.fn_and, cfn.fn_or
        ),
        has_conditions=True,
        deletion_policies=_POLICIES,
    )
    yield Version(
        key="HeatTemplateFormatVersion",
        number="2012-12-12",
        dialect=CFN,
        functions=_CFN_FUNCTIONS,
        condition_functions={},
        has_conditions=False,
        deletion_policies=_POLICIES,
    )


VERSIONS: tuple[Version, ...] = (*_cfn_versions(), *_hot_versions())
"""All of them: CloudFormation's first, then HOT from the oldest to the newest."""

_KEYS = tuple(dict.fromkeys(version.key for version in VERSIONS))
_BY_NAME = {
    f"{version.key}.{number}": version
    for version in VERSIONS
    for number in (version.number, *version.aliases)
}


def version_of(template: Mapping[str, Any]) -> Version:
    """The version that a template says it is. Raises InvalidTemplateVersion."""
    present = [key for key in _KEYS if isinstance(template.get(key), str)]
    if len(present) > 1:
        raise InvalidTemplateVersion(f"Ambiguous versions ({', '.join(present)})")
    if not present:
        raise InvalidTemplateVersion("Template version was not provided")
    (key,) = present
    version = find_version(f"{key}.{template[key]}")
    if version is None:
        known = sorted(name.partition(".")[2] for name in _BY_NAME if name.startswith(f"{key}."))
        which = "one of: " if len(known) > 1 else ": "
        listed = f"should be {which}{', '.join(known)}".replace("be : ", "be: ")
        raise InvalidTemplateVersion(f'"{key}: {template[key]}". "{key}" {listed}')
    return version


def find_version(name: str) -> Version | None:
    """By the name in the list of versions, or by an alias: `heat_template_version.rocky`."""
    return _BY_NAME.get(name)


def versions_view() -> list[dict[str, Any]]:
    """The body of GET /template_versions: `version`, `type` (hot or cfn), `aliases`."""
    return [
        {
            "version": version.name,
            "type": version.dialect.kind,
            "aliases": [f"{version.key}.{alias}" for alias in version.aliases],
        }
        for version in VERSIONS
    ]


def functions_view(version: Version, with_conditions: bool = False) -> list[dict[str, str]]:
    """The body of GET /template_versions/{name}/functions: `functions` (a name), `description`; by name."""
    known = dict(version.functions) | (dict(version.condition_functions) if with_conditions else {})
    return [{"functions": name, "description": known[name].summary} for name in sorted(known)]
