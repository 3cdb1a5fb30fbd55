"""What can be wrong with a template, an environment or a parameter.

Class names are Heat's own: clients see them as the `type` of an error. All of them are the user's fault
(400).
"""

from collections.abc import Iterable

Path = tuple[str | int, ...]


def join_path(path: Iterable[str | int]) -> str:
    """`("resources", "a", "networks", 0)` → `resources.a.networks[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


class TemplateError(Exception):
    """Something in the template cannot stand.

    `message` says what, `path` where in the template (empty when it concerns the whole), `label` which check
    found it. `str()` is what the user reads: `label: path: message`, without the parts that are empty.
    """

    def __init__(self, message: str, path: Iterable[str | int] = (), label: str = "") -> None:
        self.message = message
        self.path: Path = tuple(path)
        self.label = label
        super().__init__(message)

    @property
    def kind(self) -> str:
        """The name of the error on the wire."""
        return type(self).__name__

    def __str__(self) -> str:
        return ": ".join(part for part in (self.label, join_path(self.path), self.message) if part)


class StackValidationFailed(TemplateError):
    """A section, resource, output, condition or function call is malformed or refers to nothing."""


class InvalidTemplateFormat(TemplateError):
    """The text is neither JSON nor YAML, or not a mapping, or nested without end."""


class RequestLimitExceeded(TemplateError):
    """Too large, too deep, or growing too much through aliases."""

    def __init__(self, message: str, path: Iterable[str | int] = ()) -> None:
        super().__init__(f"Request limit exceeded: {message}", path)


class InvalidTemplateVersion(TemplateError):
    """The version is missing, unknown or ambiguous, or lacks the function that is used."""

    def __init__(self, explanation: str, path: Iterable[str | int] = ()) -> None:
        super().__init__(f"The template version is invalid: {explanation}", path)


class InvalidTemplateSection(TemplateError):
    """A section that this version does not know."""

    def __init__(self, section: str) -> None:
        super().__init__(f"The template section is invalid: {section}")


class InvalidTemplateReference(TemplateError):
    """A resource is referred to that is not in the template, or that a condition switched off."""

    def __init__(self, resource: object, path: Iterable[str | int]) -> None:
        path = tuple(path)
        super().__init__(f'The specified reference "{resource}" (in {join_path(path)}) is incorrect.')
        self.path = path

    def __str__(self) -> str:
        return self.message


class InvalidSchemaError(TemplateError):
    """The definition of a parameter is malformed."""


class UserParameterMissing(TemplateError):
    """A parameter without default was not given."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The Parameter ({name}) was not provided.")


class UnknownUserParameter(TemplateError):
    """A value was given for a parameter that the template does not have."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The Parameter ({name}) was not defined in template.")


class ImmutableParameterModified(TemplateError):
    """An update gives another value to a parameter that is declared immutable."""

    def __init__(self, names: Iterable[str]) -> None:
        listed = ", ".join(names)
        super().__init__(f"The following parameters are immutable and may not be updated: {listed}")


class InvalidMergeStrategyForParam(TemplateError):
    """An environment asks to merge values of a type that cannot be merged."""

    def __init__(self, strategy: str, name: str) -> None:
        super().__init__(f"Invalid merge strategy '{strategy}' for parameter '{name}'.")


class ConflictingMergeStrategyForParam(TemplateError):
    """Two environment files ask for different ways to merge one parameter."""

    def __init__(self, strategy: str, name: str, file: str) -> None:
        super().__init__(f"Conflicting merge strategy '{strategy}' for parameter '{name}' in file '{file}'.")


class InvalidBreakPointHook(TemplateError):
    """An environment names a hook that does not exist."""


class InvalidRestrictedAction(TemplateError):
    """An environment restricts an action that cannot be restricted."""


class CircularDependencyException(TemplateError):
    """Resources wait for each other. `cycle` goes once around, each requiring the next: `["a", "b", "a"]`."""

    def __init__(self, cycle: Iterable[str]) -> None:
        self.cycle = list(cycle)
        super().__init__(f"Circular Dependency Found: {' -> '.join(self.cycle)}")


class TemplateOutputError(TemplateError):
    """An output of a nested stack, asked for as an attribute, has no value and never will."""
