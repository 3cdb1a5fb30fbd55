"""What a client sends to make or change a stack: template, files, environments, parameters, options."""

from collections.abc import Mapping
from typing import Any

from aerostat.kernel.http import Request

from ..errors import BadBody, StackValidationFailed, refusing
from ..plans import Source
from ..template import Environment, Template, merge_environments, parse, read_environment

_KNOWN = frozenset(
    {
        "stack_name",
        "template",
        "template_url",
        "parameters",
        "environment",
        "environment_files",
        "files",
        "files_container",
        "disable_rollback",
        "timeout_mins",
        "tags",
        "clear_parameters",
        "adopt_stack_data",
        "converge",
        "stack_id",
        "param_overrides",
    }
)
_MOST_ENVIRONMENTS = 100
_MOST_TAGS, _LONGEST_TAG = 1000, 80


async def read_body(req: Request) -> dict[str, Any]:
    """The body as an object. Raises `BadRequest`."""
    body = await req.json()
    if not isinstance(body, dict):
        raise BadBody("The request body is not a JSON object.")
    for key in body:
        if key not in _KNOWN:
            raise BadBody(f"Unknown argument: {key}")
    return body


def read_template(body: Mapping[str, Any]) -> Template:
    template = body.get("template")
    if template is None and body.get("template_url"):
        # What a client's URL names only the client fetches: requests from here could reach what it must not.
        raise BadBody("Could not retrieve template: send it in the body; URLs are not fetched here.")
    if not template:
        raise BadBody("No template specified")
    if not isinstance(template, dict | str):
        raise BadBody("Template not in valid format")
    with refusing():
        return parse(template)


def read_files(body: Mapping[str, Any]) -> dict[str, str]:
    files = {} if body.get("files") is None else body["files"]
    if not isinstance(files, dict):
        raise BadBody("files must be an object of names and contents.")
    for name, content in files.items():
        if not isinstance(content, str):
            raise BadBody(f"The content of file {name} must be a string.")
    return files


def read_merged(body: Mapping[str, Any], template: Template, files: Mapping[str, str]) -> Environment:
    """Environments in the order of their files, then the one in the body, then single parameters."""
    names = [] if body.get("environment_files") is None else body["environment_files"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadBody("environment_files must be a list of names.")
    if len(names) > _MOST_ENVIRONMENTS:
        raise BadBody(f"There are {len(names)} environment files; at most {_MOST_ENVIRONMENTS} are taken.")
    given = body.get("environment")
    if given is not None and not isinstance(given, dict | str):
        raise BadBody("Environment not in valid format")
    parameters = {} if body.get("parameters") is None else body["parameters"]
    if not isinstance(parameters, dict):
        raise BadBody("parameters must be an object.")
    with refusing():
        known: dict[str, dict[str, Any]] = {}
        for name in names:
            if name not in files:
                raise BadBody(f"Environment file {name} is not among the files.")
            if name not in known:
                known[name] = read_environment(files[name])
        pairs = [(name, known[name]) for name in names]
        if not names or not isinstance(given, dict):
            pairs.append(("", read_environment(given or {})))
        environment = merge_environments(pairs, template.schemas)
    environment.parameters.update(parameters)
    return environment


def read_source(body: Mapping[str, Any]) -> Source:
    template, files = read_template(body), read_files(body)
    return Source(template, read_merged(body, template, files), files)


def read_changed_source(body: Mapping[str, Any], before: Source) -> Source:
    """For PATCH: what the body does not say stays as it was."""
    template = read_template(body) if body.get("template") or body.get("template_url") else before.template
    files = {**before.files, **read_files(body)}
    environment = read_merged(body, template, files)
    cleared = body.get("clear_parameters") or []
    if not isinstance(cleared, list):
        raise BadBody("clear_parameters must be a list of names.")
    old = before.environment
    kept = {
        name: value
        for name, value in old.parameters.items()
        if name not in cleared and name in template.schemas
    }
    merged = Environment(
        parameters={**kept, **environment.parameters},
        parameter_defaults={**old.parameter_defaults, **environment.parameter_defaults},
        resource_registry={**old.resource_registry, **environment.resource_registry},
        encrypted_param_names=environment.encrypted_param_names or old.encrypted_param_names,
        event_sinks=environment.event_sinks or old.event_sinks,
    )
    return Source(template, merged, files)


def read_timeout(body: Mapping[str, Any]) -> int | None:
    value = body.get("timeout_mins")
    if value in (None, ""):
        return None
    try:
        minutes = int(value)
    except (TypeError, ValueError):
        raise BadBody(
            "timeout_mins is not an integer: Only integer is acceptable by 'timeout_mins'."
        ) from None
    if not 0 <= minutes <= 10_000_000:
        raise StackValidationFailed(f"Invalid stack timeout {minutes}")
    return minutes or None


def read_flag(body: Mapping[str, Any], name: str) -> bool | None:
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return value
    word = str(value).lower()
    if word not in ("true", "false"):
        raise BadBody(f'Unrecognized value "{value}" for "{name}", acceptable values are: true, false')
    return word == "true"


def read_tags(body: Mapping[str, Any]) -> list[str] | None:
    value = body.get("tags")
    if not value:
        return None
    tags = [one.strip() for one in value.split(",")] if isinstance(value, str) else value
    if not isinstance(tags, list) or not all(isinstance(one, str) for one in tags) or len(tags) > _MOST_TAGS:
        raise BadBody("tags must be a comma-delimited list of strings.")
    for tag in tags:
        if not 0 < len(tag) <= _LONGEST_TAG:
            raise StackValidationFailed(f'Invalid tag, "{tag}" is longer than {_LONGEST_TAG} characters')
    return tags
