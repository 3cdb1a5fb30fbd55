"""A domain's own configuration: groups of options, over the cloud's defaults.

https://docs.openstack.org/api-ref/identity/v3/#domain-configuration
"""

from collections.abc import Mapping
from typing import Any

from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .. import model
from ..domain_options import DEFAULTS, is_secret, mistake
from ..errors import DomainConfigNotFound, InvalidDomainConfig
from ..rules import ANY_SCOPE, CLOUD_SCOPES, LOOK, rules

_ADMIN = "rule:admin_required"
_CONFIG = "/v3/domains/{domain_id}/config"
_GROUP = _CONFIG + "/{group}"
_OPTION = _GROUP + "/{option}"
_BODY = {
    "type": "object",
    "properties": {"config": {"type": "object"}},
    "required": ["config"],
}
_COMPLIANCE = ("password_regex", "password_regex_description")
Config = dict[str, dict[str, Any]]


class DomainConfig(Resource):
    extra_rules = (
        *rules(
            {
                **dict.fromkeys(
                    ("create_domain_config", "update_domain_config", "delete_domain_config"), _ADMIN
                ),
                **dict.fromkeys(("get_domain_config", "get_domain_config_default"), LOOK.text),
            },
            CLOUD_SCOPES,
        ),
        *rules({"get_security_compliance_domain_config": ""}, ANY_SCOPE),
    )

    @route("PUT", _CONFIG, body=_BODY)
    async def create(self, req: Request, domain_id: str) -> Response:
        await self._check(req, "create", domain_id)
        config = _valid(req.body["config"])
        async with req.db.transaction() as tx:
            replaced = await tx.delete(model.DOMAIN_OPTIONS, domain_id=domain_id)
            for row in _rows(config):
                await tx.insert(model.DOMAIN_OPTIONS, domain_id=domain_id, **row)
        return Response({"config": _shown(config)}, 200 if replaced else 201)

    @route("GET", _CONFIG)
    async def show(self, req: Request, domain_id: str) -> dict[str, Any]:
        return await self._look(req, domain_id)

    @route("GET", _GROUP)
    async def show_group(self, req: Request, domain_id: str, group: str) -> dict[str, Any]:
        return await self._look(req, domain_id, group)

    @route("GET", _OPTION)
    async def show_option(self, req: Request, domain_id: str, group: str, option: str) -> dict[str, Any]:
        return await self._look(req, domain_id, group, option)

    @route("PATCH", _CONFIG, body=_BODY)
    async def update(self, req: Request, domain_id: str) -> dict[str, Any]:
        return await self._change(req, domain_id)

    @route("PATCH", _GROUP, body=_BODY)
    async def update_group(self, req: Request, domain_id: str, group: str) -> dict[str, Any]:
        return await self._change(req, domain_id, group)

    @route("PATCH", _OPTION, body=_BODY)
    async def update_option(self, req: Request, domain_id: str, group: str, option: str) -> dict[str, Any]:
        return await self._change(req, domain_id, group, option)

    @route("DELETE", _CONFIG, status=204)
    async def delete(self, req: Request, domain_id: str) -> None:
        await self._take_away(req, domain_id)

    @route("DELETE", _GROUP, status=204)
    async def delete_group(self, req: Request, domain_id: str, group: str) -> None:
        await self._take_away(req, domain_id, group)

    @route("DELETE", _OPTION, status=204)
    async def delete_option(self, req: Request, domain_id: str, group: str, option: str) -> None:
        await self._take_away(req, domain_id, group, option)

    @route("GET", "/v3/domains/config/default", policy="identity:get_domain_config_default")
    async def defaults(self, req: Request) -> dict[str, Any]:
        return {"config": DEFAULTS}

    @route("GET", "/v3/domains/config/{group}/default", policy="identity:get_domain_config_default")
    async def default_group(self, req: Request, group: str) -> dict[str, Any]:
        _check_named(group)
        return {"config": {group: DEFAULTS[group]}}

    @route("GET", "/v3/domains/config/{group}/{option}/default", policy="identity:get_domain_config_default")
    async def default_option(self, req: Request, group: str, option: str) -> dict[str, Any]:
        _check_named(group, option)
        if is_secret(group, option):
            raise InvalidDomainConfig(reason=f"Option {option} in group {group} is not shown")
        return {"config": {option: DEFAULTS[group][option]}}

    async def _look(
        self, req: Request, domain_id: str, group: str | None = None, option: str | None = None
    ) -> dict[str, Any]:
        if group == "security_compliance":
            return await self._compliance(req, domain_id, option)
        await self._check(req, "get", domain_id)
        _check_named(group, option)
        shown = _shown(await self._kept(req, domain_id, group, option))
        if not shown:
            raise DomainConfigNotFound(what=_what(group, option), id=domain_id)
        return {"config": shown[group] if group is not None and option is not None else shown}

    async def _compliance(self, req: Request, domain_id: str, option: str | None) -> dict[str, Any]:
        """What passwords have to look like, which anybody may know; the cloud's own, for the default domain."""
        req.check("identity:get_security_compliance_domain_config")
        if domain_id != "default":
            raise InvalidDomainConfig(
                reason="Reading security compliance information for any domain other than the default domain "
                "is not allowed or supported"
            )
        if option is not None and option not in _COMPLIANCE:
            raise InvalidDomainConfig(
                reason="Reading security compliance values other than password_regex and "
                "password_regex_description is not allowed"
            )
        config = req.house.state["identity"].config
        values = {name: getattr(config, name, "") or None for name in _COMPLIANCE}
        return {"config": {option: values[option]} if option is not None else {"security_compliance": values}}

    async def _change(
        self, req: Request, domain_id: str, group: str | None = None, option: str | None = None
    ) -> dict[str, Any]:
        await self._check(req, "update", domain_id)
        asked = req.body["config"]  # of a single option it is named without its group
        config = _valid({group: asked} if group is not None and option is not None else asked)
        if group is not None:
            _check_only(config, group, option)
            if not await self._kept(req, domain_id, group, option):
                raise DomainConfigNotFound(what=_what(group, option), id=domain_id)
        async with req.db.transaction() as tx:
            for row in _rows(config):
                key = {"domain_id": domain_id, "group": row["group"], "option": row["option"]}
                if not await tx.update(model.DOMAIN_OPTIONS, key, value=row["value"]):
                    await tx.insert(model.DOMAIN_OPTIONS, domain_id=domain_id, **row)
        return {"config": _shown(await self._kept(req, domain_id))}

    async def _take_away(
        self, req: Request, domain_id: str, group: str | None = None, option: str | None = None
    ) -> None:
        await self._check(req, "delete", domain_id)
        _check_named(group, option)
        named = {"group": group, "option": option}
        where = {key: value for key, value in named.items() if value is not None}
        if not await req.db.delete(model.DOMAIN_OPTIONS, domain_id=domain_id, **where) and group is not None:
            raise DomainConfigNotFound(what=_what(group, option), id=domain_id)

    async def _check(self, req: Request, verb: str, domain_id: str) -> None:
        """Policy first: who may not ask is not told which domains there are."""
        req.check(f"identity:{verb}_domain_config")
        await req.service.resources["Domain"].find(req, domain_id)

    async def _kept(
        self, req: Request, domain_id: str, group: str | None = None, option: str | None = None
    ) -> Config:
        found: Config = {}
        for row in await req.db.all(model.DOMAIN_OPTIONS, {"domain_id": domain_id}):
            if group in (None, row.group) and option in (None, row.option):
                found.setdefault(row.group, {})[row.option] = row.value
        return found


def _valid(config: Mapping[str, Any]) -> Config:
    """Raises `InvalidDomainConfig` for options that there are none of."""
    if not config:
        raise InvalidDomainConfig(reason="No options specified")
    for group, options in config.items():
        if not isinstance(options, dict) or not options:
            raise InvalidDomainConfig(
                reason=f"The value of group {group} specified in the config should be a dictionary of options"
            )
        for option in options:
            _check_named(group, option)
    return dict(config)


def _check_named(group: str | None, option: str | None = None) -> None:
    wrong = mistake(group, option) if group is not None else None
    if wrong is not None:
        raise InvalidDomainConfig(reason=wrong)


def _check_only(config: Config, group: str, option: str | None) -> None:
    """The body names what the path names, and nothing else."""
    _check_named(group, option)
    if list(config) != [group] or (option is not None and list(config[group]) != [option]):
        raise InvalidDomainConfig(
            reason=f"Trying to update {_what(group, option)}, so that, and only that, must be specified in the config"
        )


def _rows(config: Config) -> list[dict[str, Any]]:
    return [
        {"group": group, "option": option, "value": value}
        for group, options in config.items()
        for option, value in options.items()
    ]


def _shown(config: Config) -> Config:
    shown = {
        group: {option: value for option, value in options.items() if not is_secret(group, option)}
        for group, options in config.items()
    }
    return {group: options for group, options in shown.items() if options}


def _what(group: str | None, option: str | None) -> str:
    if option is not None:
        return f"option {option} in group {group}"
    return f"group {group}" if group is not None else "any options"
