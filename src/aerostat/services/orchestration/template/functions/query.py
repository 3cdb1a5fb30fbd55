"""yaql: expressions over data, worked out in a process of their own that is started when a template first uses it.

See `yaql_worker.py`. The process is asked and waited for in place, since functions of templates answer at once; so
the wait is short.
"""

import atexit
import os
import select
import subprocess
import sys
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from ..snippets import MOST_CHARACTERS, Call, Function, Scope

ANSWER_LIMIT_S = 0.5
START_LIMIT_S = 20.0


class _Worker:
    """The process, started when it is needed and again after it was ended. One question at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, **question: Any) -> dict[str, Any]:
        """Its answer. Raises ValueError when it takes too long or does not survive the question."""
        with self._lock:
            process = self._started()
            try:
                line = self._exchange(process, msgspec.json.encode(question), ANSWER_LIMIT_S)
            except OSError:
                line = b""
            if line is None or not line.endswith(b"\n"):
                self._end()
                raise ValueError(
                    "the expression takes too long"
                    if line is None
                    else "the expression takes too much memory"
                )
        answer: dict[str, Any] = msgspec.json.decode(line)
        return answer

    def _started(self) -> "subprocess.Popen[bytes]":
        process = self._process
        if process is not None and process.poll() is None and self._owner == os.getpid():
            return process
        self._process = process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("yaql_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PYTHONPATH": os.pathsep.join(sys.path[1:])},
        )
        self._owner = os.getpid()
        if not self._exchange(process, msgspec.json.encode({"expression": "1"}), START_LIMIT_S):
            self._end()
            raise ValueError("yaql is not to be had: its process does not start")
        return process

    def _exchange(self, process: "subprocess.Popen[bytes]", question: bytes, limit_s: float) -> bytes | None:
        """A line for a line; None when it did not come in time, a torn one when the process ended."""
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(question + b"\n")
        process.stdin.flush()
        ends_at = time.monotonic() + limit_s
        found = b""
        while not found.endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, ends_at - time.monotonic()))
            if not ready:
                return None
            part = os.read(process.stdout.fileno(), 1 << 20)
            found += part
            if not part or len(found) > MOST_CHARACTERS:
                return found.rstrip(b"\n")
        return found

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def close(self) -> None:
        if self._owner == os.getpid():
            self._end()


_worker = _Worker()
atexit.register(_worker.close)


def _check(name: str, args: Any) -> None:
    if not isinstance(args, dict):
        raise TypeError(f'Arguments to "{name}" must be a map.')
    if "expression" not in args or set(args) - {"expression", "data"}:
        raise KeyError(
            f'"{name}" syntax should be {name}:\n  expression: $.data.var1.sum()\n'
            "  data:\n    var1: [3, 2, 1]"
        )
    if not isinstance(args["expression"], Call):
        problem = _problem(_text(name, args["expression"]))
        if problem is not None:
            raise ValueError(problem)


def _text(name: str, expression: Any) -> str:
    if not isinstance(expression, str):
        raise TypeError(f'The "expression" argument to {name} must contain a string.')
    return expression


@lru_cache(maxsize=256)
def _problem(expression: str) -> str | None:
    """Why an expression cannot be read; templates are read again and again."""
    answer = _worker.ask(expression=expression)
    return f"Bad expression {answer['bad']}." if "bad" in answer else None


def _evaluate(name: str, args: Any, scope: Scope) -> Any:
    answer = _worker.ask(expression=_text(name, args["expression"]), data=args.get("data", {}))
    if "bad" in answer:
        raise ValueError(f"Bad expression {answer['bad']}.")
    if "failed" in answer:
        raise ValueError(answer["failed"])
    return answer["value"]


yaql = Function("yaql", "A function for executing a yaql expression.", _evaluate, check=_check)
