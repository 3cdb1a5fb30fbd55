"""The process that works out yaql expressions: a script, run by `query.py`.

Expressions are the user's, and yaql can be made to count for ever, to match for ever or to fill all memory. Here it
may: memory has a limit, and who takes too long is killed by the one who asked.

One request a line, one answer a line, both JSON: `{"expression": …, "data": …}`; without `data` the expression is
only read. Answers: `{"value": …}`, `{"bad": …}` for an expression that cannot be read, `{"failed": …}`.
"""

import collections.abc  # noqa: F401  (yaql counts on it being loaded)
import resource
import sys
from functools import lru_cache
from typing import Any

import msgspec
import yaql
from yaql.language.exceptions import YaqlException

MEMORY_BYTES = 256 << 20
_MOST_ITEMS = 200  # Heat's limits: what one expression goes through, and what it may take
_QUOTA_BYTES = 10_000

_engine = yaql.YaqlFactory().create({"yaql.limitIterators": _MOST_ITEMS, "yaql.memoryQuota": _QUOTA_BYTES})
_context = yaql.create_context()


@lru_cache(maxsize=256)
def _statement(expression: str) -> Any:
    return _engine(expression)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        statement = _statement(request["expression"])
    except (YaqlException, RecursionError, MemoryError) as error:
        return {"bad": str(error) or type(error).__name__}
    if "data" not in request:
        return {"value": None}
    try:
        value = statement.evaluate({"data": request["data"]}, _context.create_child_context())
        msgspec.json.encode(value)
    except Exception as error:  # an expression can fail in any way that its functions can
        return {"failed": f"{type(error).__name__}: {error}"[:1000]}
    return {"value": value}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(msgspec.json.encode(answer(msgspec.json.decode(line))) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
