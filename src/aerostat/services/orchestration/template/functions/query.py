"""yaql: expressions over data. The evaluator is loaded when the first template uses it.

yaql counts the items that an expression goes through and the memory it takes, and stops it at Heat's limits.
"""

import collections.abc  # noqa: F401  (yaql counts on it being loaded)
from functools import lru_cache
from typing import Any

from ..snippets import Call, Function, Scope

_MOST_ITEMS = 200
_MEMORY_BYTES = 10_000


def _check(name: str, args: Any) -> None:
    if not isinstance(args, dict):
        raise TypeError(f'Arguments to "{name}" must be a map.')
    if "expression" not in args or set(args) - {"expression", "data"}:
        raise KeyError(
            f'"{name}" syntax should be {name}:\n  expression: $.data.var1.sum()\n'
            "  data:\n    var1: [3, 2, 1]"
        )
    if not isinstance(args["expression"], Call):
        _parse(name, args["expression"])


def _parse(name: str, expression: Any) -> Any:
    if not isinstance(expression, str):
        raise TypeError(f'The "expression" argument to {name} must contain a string.')
    from yaql.language.exceptions import YaqlException

    try:
        return _statement(expression)
    except YaqlException as error:
        raise ValueError(f"Bad expression {error}.") from None


@lru_cache(maxsize=256)
def _statement(expression: str) -> Any:
    return _engine()[0](expression)


@lru_cache(maxsize=1)
def _engine() -> tuple[Any, Any]:
    import yaql

    options = {"yaql.limitIterators": _MOST_ITEMS, "yaql.memoryQuota": _MEMORY_BYTES}
    return yaql.YaqlFactory().create(options), yaql.create_context()


def _evaluate(name: str, args: Any, scope: Scope) -> Any:
    statement = _parse(name, args["expression"])
    context = _engine()[1].create_child_context()
    try:
        return statement.evaluate({"data": args.get("data", {})}, context)
    except Exception as error:  # an expression can fail in any way that its functions can
        raise ValueError(f"{type(error).__name__}: {error}") from None


yaql = Function("yaql", "A function for executing a yaql expression.", _evaluate, check=_check)
