"""What a template's conditions decide, once the parameters have values."""

from collections.abc import Callable, Mapping
from typing import Any

from .errors import StackValidationFailed
from .snippets import Snippet

_LABEL = "Condition validation error"
_IN_PROGRESS = object()


class Conditions:
    """Decides each condition at most once, when it is first asked for.

    `resolve` gives the value of a definition; while it does, it may ask back for other conditions.
    """

    def __init__(self, definitions: Mapping[str, Snippet], resolve: Callable[[Snippet], Any]) -> None:
        self._definitions = definitions
        self._resolve = resolve
        self._decided: dict[str, Any] = {}

    def is_enabled(self, condition: Any) -> bool:
        """A condition by its name; None and booleans are taken as they are.

        Raises ValueError when there is none of that name, StackValidationFailed when it goes around in a
        circle or does not come to true or false.
        """
        if condition is None:
            return True
        if isinstance(condition, bool):
            return condition
        if not isinstance(condition, str) or condition not in self._definitions:
            raise ValueError(f'Invalid condition "{condition}"')
        if condition not in self._decided:
            self._decided[condition] = _IN_PROGRESS
            try:
                self._decided[condition] = self._decide(condition)
            finally:
                if self._decided[condition] is _IN_PROGRESS:
                    del self._decided[condition]
        elif self._decided[condition] is _IN_PROGRESS:
            raise StackValidationFailed(f'Circular definition for condition "{condition}"', label=_LABEL)
        return bool(self._decided[condition])

    def _decide(self, name: str) -> bool:
        value = self._resolve(self._definitions[name])
        if not isinstance(value, bool):
            raise StackValidationFailed(
                f'The definition of condition "{name}" is invalid: {value!r} is not a boolean', label=_LABEL
            )
        return value

    def check(self) -> None:
        """Decide all of them. Raises StackValidationFailed."""
        for name in self._definitions:
            self.is_enabled(name)
