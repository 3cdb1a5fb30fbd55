"""Conditions, and `if`, which takes one of two branches by them.

A condition stands by its name, as a boolean or as a call of one of these functions.
"""

from dataclasses import replace
from typing import Any

from ..snippets import OMITTED, Call, Function, Scope, Snippet, resolve


def _check_equals(name: str, args: Any) -> None:
    if not isinstance(args, list) or len(args) != 2:
        raise ValueError(f'Arguments to "{name}" must be of the form: [value_1, value_2]')


def _equals(name: str, args: Any, scope: Scope) -> bool:
    _check_equals(name, args)
    return bool(args[0] == args[1])


equals = Function(
    "equals", "A function for comparing whether two values are equal.", _equals, check=_check_equals
)


def _check_not(name: str, args: Any) -> None:
    if args is None:
        raise ValueError(f'Argument to "{name}" must be a condition')


def _not(name: str, args: Any, scope: Scope) -> bool:
    return not scope.condition(args)


not_ = Function("not", "A function that acts as a NOT operator on a condition.", _not, check=_check_not)


def _check_not_cfn(name: str, args: Any) -> None:
    if not isinstance(args, list) or len(args) != 1:
        raise ValueError(f'Arguments to "{name}" must be of the form: [condition]')


def _not_cfn(name: str, args: Any, scope: Scope) -> bool:
    return not scope.condition(args[0])


not_cfn = replace(not_, name="Fn::Not", evaluate=_not_cfn, check=_check_not_cfn)


def _check_several(name: str, args: Any) -> None:
    if not isinstance(args, list):
        raise ValueError(f'Arguments to "{name}" must be a list of conditions')
    if len(args) < 2:
        raise ValueError(f'The minimum number of condition arguments to "{name}" is 2.')


def _and(name: str, args: Any, scope: Scope) -> bool:
    return all(scope.condition(one) for one in args)


def _or(name: str, args: Any, scope: Scope) -> bool:
    return any(scope.condition(one) for one in args)


and_ = Function("and", "A function that acts as an AND operator on conditions.", _and, check=_check_several)
or_ = Function("or", "A function that acts as an OR operator on conditions.", _or, check=_check_several)


def _check_if(name: str, args: Any) -> None:
    if not isinstance(args, list) or len(args) != 3:
        raise ValueError(
            f'Arguments to "{name}" must be of the form: [condition_name, value_if_true, value_if_false]'
        )


def _check_if_nullable(name: str, args: Any) -> None:
    if not isinstance(args, list) or not 2 <= len(args) <= 3:
        raise ValueError(
            f'Arguments to "{name}" must be of the form: [condition_name, value_if_true, value_if_false]'
            " or [condition_name, value_if_true]"
        )


def _choose(args: Any, scope: Scope) -> Snippet:
    condition, then, *otherwise = args
    if isinstance(condition, Call):
        condition = resolve(condition, scope)
    if scope.condition(condition):
        return then
    return otherwise[0] if otherwise else OMITTED


_IF = "A function to return corresponding value based on condition evaluation."

if_ = Function("if", _IF, choose=_choose, check=_check_if)

if_nullable = Function("if", _IF, choose=_choose, check=_check_if_nullable)
"""From 2021-04-16: without an else, a false condition takes the property or list item away."""
