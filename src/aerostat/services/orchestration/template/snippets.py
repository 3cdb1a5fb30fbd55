"""Compiled pieces of a template: plain data with function calls in it.

`compile_snippet` turns `{get_param: x}` into a `Call` once, when the template is read, and checks the shape
of its arguments. From then on a snippet can be looked at in three ways, each a walk over the same tree:
`resolve` gives its value, `references` what it needs, `is_constant` whether it needs anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .errors import InvalidTemplateVersion, Path, RequestLimitExceeded, StackValidationFailed, TemplateError

Snippet = Any
"""dict, list, str, int, float, bool, None or Call, nested."""


class _Omitted:
    """The value of an `if` without else whose condition is false: the key or list item goes away with it."""

    def __repr__(self) -> str:
        return "OMITTED"


OMITTED = _Omitted()


class Scope(Protocol):
    """All that functions may look at. A value that is not known yet is None."""

    def param(self, name: str) -> Any:
        """The parameter's value; KeyError when there is no such parameter."""

    def has_resource(self, name: str) -> bool:
        """Whether the resource is defined and no condition switches it off."""

    def reference_id(self, resource: str) -> str | None:
        """What get_resource gives."""

    def attribute(self, resource: str, name: str | None, path: Sequence[str | int]) -> Any:
        """What get_attr gives, `path` already followed; name None asks for all attributes as a map."""

    def file(self, name: str) -> str | None:
        """The content that the client sent under this name."""

    def condition(self, name: Any) -> bool:
        """The value of a condition given by name (or already as bool); ValueError when there is none."""

    def facade(self, kind: str) -> Any:
        """metadata, deletion_policy or update_policy of the resource that this nested stack stands for."""

    def mapping(self, name: str) -> Mapping[str, Any]:
        """An entry of the Mappings section of a CloudFormation template; KeyError when there is none."""

    def zones(self) -> list[str]:
        """Names of the availability zones."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Something a snippet needs: `kind` is resource, attribute, param or file; `path` where it is said.

    For an attribute, `attribute` is its name (None: all of them, or not known yet which) and `keys` the
    path into it, as far as it is known.
    """

    kind: str
    name: Any
    path: Path
    attribute: str | None = None
    keys: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """One function as one template version has it.

    `evaluate(name, args, scope)` gets resolved arguments. `check(name, args)` looks at their shape
    beforehand, where other calls may still stand in them. `refer(name, args, path, scope)` says what a call
    needs. A function with `choose` is replaced by the branch that it returns, before anything in the branches
    is looked at. All raise ValueError, TypeError or KeyError with a sentence for the user.
    """

    name: str
    summary: str
    evaluate: Callable[[str, Any, Scope], Any] | None = None
    check: Callable[[str, Any], None] | None = None
    refer: Callable[[str, Any, Path, Scope], Reference | None] | None = None
    choose: Callable[[Any, Scope], Snippet] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A function call standing in a snippet, at `path` in the template."""

    function: Function
    args: Snippet
    path: Path


@dataclass(frozen=True, slots=True)
class Language:
    """Which calls are understood somewhere. `refused` says why a name is an error rather than plain data."""

    functions: Mapping[str, Function]
    refused: Mapping[str, str]
    conditions: Language | None = None
    """How conditions inside `if` are read."""


def compile_snippet(data: Any, language: Language, path: Path = ()) -> Snippet:
    """Find the calls in plain data. Raises TemplateError for a call with arguments of the wrong shape."""
    if isinstance(data, dict):
        if len(data) == 1:
            ((name, args),) = data.items()
            function = language.functions.get(name)
            if function is not None:
                return _compile_call(function, name, args, language, (*path, name))
            if name in language.refused:
                if language.conditions is None:
                    raise StackValidationFailed(language.refused[name], (*path, name))
                raise InvalidTemplateVersion(language.refused[name], (*path, name))
        return {key: compile_snippet(item, language, (*path, key)) for key, item in data.items()}
    if isinstance(data, list):
        return [compile_snippet(item, language, (*path, index)) for index, item in enumerate(data)]
    return data


def _compile_call(function: Function, name: str, args: Any, language: Language, path: Path) -> Call:
    if function.choose is not None and language.conditions is not None and isinstance(args, list) and args:
        compiled = [compile_snippet(args[0], language.conditions, (*path, 0))]
        compiled += [compile_snippet(arg, language, (*path, i)) for i, arg in enumerate(args[1:], 1)]
    else:
        compiled = compile_snippet(args, language, path)
    if function.check is not None:
        try:
            function.check(name, compiled)
        except (ValueError, TypeError, KeyError) as error:
            raise StackValidationFailed(_sentence(error), path) from None
    return Call(function, compiled, path)


def _sentence(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__


MOST_CHARACTERS = 8 * 1024 * 1024
"""How large the results of calls may be, within one call of `resolve` and together."""


class _Budget:
    """Counts what calls have produced: calls within calls must not make a huge value."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST_CHARACTERS

    def spend(self, value: Any) -> None:
        self.left -= size_of(value)
        if self.left < 0:
            raise RequestLimitExceeded(f"a value would be larger than {MOST_CHARACTERS} characters")


def size_of(value: Any) -> int:
    """How large a value is, in characters, roughly."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + size_of(item) for key, item in value.items())
    return 1 + sum(map(size_of, value)) if isinstance(value, list) else 1


def resolve(snippet: Snippet, scope: Scope) -> Any:
    """The snippet's value: plain data, a copy as far as it stands in the template. Raises TemplateError."""
    value = _resolve(snippet, scope, _Budget())
    return None if value is OMITTED else value


def _resolve(snippet: Snippet, scope: Scope, budget: _Budget) -> Any:
    kind = type(snippet)
    if kind is str:
        return snippet
    if kind is dict:
        pairs = [(key, _resolve(item, scope, budget)) for key, item in snippet.items()]
        return {key: value for key, value in pairs if value is not OMITTED}
    if kind is list:
        return [value for item in snippet if (value := _resolve(item, scope, budget)) is not OMITTED]
    if kind is Call:
        return _resolve_call(snippet, scope, budget)
    return snippet


def _resolve_call(call: Call, scope: Scope, budget: _Budget) -> Any:
    function = call.function
    try:
        if function.choose is not None:
            return _resolve(function.choose(call.args, scope), scope, budget)
        args = _resolve(call.args, scope, budget)
        value = function.evaluate(function.name, None if args is OMITTED else args, scope)  # type: ignore[misc]
        budget.spend(value)
    except RequestLimitExceeded as error:
        error.path = error.path or call.path
        raise
    except TemplateError:
        raise
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise StackValidationFailed(_sentence(error), call.path) from None
    return value


def references(snippet: Snippet, scope: Scope) -> Iterator[Reference]:
    """What the snippet needs. Conditions are decided by the scope; the branch not taken is not looked at."""
    if isinstance(snippet, dict):
        for item in snippet.values():
            yield from references(item, scope)
    elif isinstance(snippet, list):
        for item in snippet:
            yield from references(item, scope)
    elif isinstance(snippet, Call):
        yield from _call_references(snippet, scope)


def _call_references(call: Call, scope: Scope) -> Iterator[Reference]:
    function = call.function
    try:
        if function.choose is not None:
            yield from references(function.choose(call.args, scope), scope)
            return
        if function.refer is not None:
            reference = function.refer(function.name, resolve(call.args, scope), call.path, scope)
            if reference is not None:
                yield reference
    except TemplateError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise StackValidationFailed(_sentence(error), call.path) from None
    yield from references(call.args, scope)


def is_constant(snippet: Snippet, scope: Scope) -> bool:
    """Whether the value is the same now and later: it needs no resource and no attribute."""
    return not any(reference.kind in ("resource", "attribute") for reference in references(snippet, scope))


def select(value: Any, path: Sequence[Any]) -> Any:
    """Follow keys and indices into maps and lists; None when the path leads nowhere.

    An index into a list may be written as a string.
    """
    for key in path:
        try:
            if isinstance(value, Mapping):
                value = value[key]
            elif isinstance(value, list | tuple):
                value = value[int(key)]
            else:
                return None
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return value
