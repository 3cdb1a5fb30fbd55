"""The rule language: text (or the old lists of lists) → a tree → a closure that answers in a microsecond.

A rule is clauses joined by `and`, `or`, `not` and parentheses:
`@` always, `!` never, `role:admin`, `rule:other_rule`, `field:networks:shared=True` (the network room's), and
`left:right`, where left is a path into the credentials or a Python literal, and right is text with
`%(key)s` taken from the target. Values are compared as text. What cannot be understood is false: a broken
clause alone when it stands alone, the whole rule when its joints are broken. Upstream does the same.
"""

import ast
import functools
import re
from collections.abc import Iterator, Sequence

from .filling import Filling
from .nodes import All, Constant, Either, Field, Malformed, Match, Node, Not, Reference, Role

RuleText = str | Sequence[str | Sequence[str]]


def parse(rule: RuleText) -> Node:
    """The tree of a rule; a rule that makes no sense becomes a `Malformed`, which is false."""
    if not rule:
        return Constant("@", True)
    return _parse_text(rule) if isinstance(rule, str) else _parse_lists(rule)


@functools.lru_cache(maxsize=4096)
def _parse_text(rule: str) -> Node:
    """Trees cannot be changed, and the same few texts stand behind most rules."""
    try:
        return _Parser(rule).parse()
    except ValueError as error:
        return Malformed(rule, str(error))


def mistakes(node: Node) -> Iterator[str]:
    """Every piece of the tree that can never hold because it was written wrongly."""
    if isinstance(node, Malformed):
        yield f"{node.text}: {node.why}"
    elif isinstance(node, Not):
        yield from mistakes(node.child)
    elif isinstance(node, (All, Either)):
        for child in node.children:
            yield from mistakes(child)


class _Parser:
    """Recursive descent over the words: `or` binds least, then `and`, then `not`."""

    def __init__(self, rule: str) -> None:
        self.words = list(_words(rule))
        self.at = 0

    def parse(self) -> Node:
        node = self._either()
        if self.at != len(self.words):
            raise ValueError(f"{self.words[self.at]!r} was not expected")
        return node

    def _either(self) -> Node:
        children = [self._all()]
        while self._take("or"):
            children.append(self._all())
        return children[0] if len(children) == 1 else Either(tuple(children))

    def _all(self) -> Node:
        children = [self._not()]
        while self._take("and"):
            children.append(self._not())
        return children[0] if len(children) == 1 else All(tuple(children))

    def _not(self) -> Node:
        if self._take("not"):
            return Not(self._not())
        if self._take("("):
            node = self._either()
            if not self._take(")"):
                raise ValueError("a parenthesis is not closed")
            return node
        if self.at == len(self.words):
            raise ValueError("the rule ends too early")
        word = self.words[self.at]
        if isinstance(word, str):
            raise ValueError(f"{word!r} was not expected")
        self.at += 1
        return word

    def _take(self, word: str) -> bool:
        if self.at < len(self.words) and self.words[self.at] == word:
            self.at += 1
            return True
        return False


def _words(rule: str) -> Iterator[str | Node]:
    """Joints and parentheses as text, clauses as nodes. Parentheses inside a word belong to its `%(key)s`."""
    for word in rule.split():
        inner = word.lstrip("(")
        yield from "(" * (len(word) - len(inner))
        clean = inner.rstrip(")")
        if clean.lower() in ("and", "or", "not"):
            yield clean.lower()
        elif len(inner) >= 2 and inner[0] == inner[-1] and inner[0] in "'\"":
            yield inner  # text in quotes, which stands nowhere in the language
        elif clean:
            yield parse_clause(clean)
        yield from ")" * (len(inner) - len(clean))


def parse_clause(text: str) -> Node:
    """One clause without joints: `@`, `!`, `role:x`, `rule:x`, `field:…` or `left:right`."""
    if text in ("@", "!"):
        return Constant(text, text == "@")
    kind, colon, right = text.partition(":")
    if not colon:
        return Malformed(text, "a clause is written left:right")
    if kind == "rule":
        return Reference(text, right)
    if kind == "field":
        return _parse_field(text, right)
    if kind in ("http", "https"):
        return Malformed(text, "asking another server is not supported")
    try:
        wanted = Filling.parse(right)
    except ValueError as error:
        return Malformed(text, str(error))
    if kind == "role":
        return Role(text, wanted)
    try:
        return Match(text, (), str(ast.literal_eval(kind)), wanted)
    except ValueError:  # a name, or names with dots: not a literal
        return Match(text, tuple(kind.split(".")), None, wanted)
    except (SyntaxError, TypeError, MemoryError, RecursionError):
        return Malformed(text, f"{kind!r} is neither a path into the credentials nor a literal")


def _parse_field(text: str, right: str) -> Node:
    _resource, _, condition = right.partition(":")
    attribute, equals, value = condition.partition("=")
    if not equals:
        return Malformed(text, "a field clause is written field:resource:attribute=value")
    try:
        re.compile(value[1:] if value.startswith("~") else "")
    except re.error as error:
        return Malformed(text, f"not a regular expression: {error}")
    return Field(text, attribute, value)


def _parse_lists(rule: Sequence[str | Sequence[str]]) -> Node:
    """The form before the language: the outer list is joined by `or`, the inner ones by `and`."""
    children: list[Node] = []
    for inner in rule:
        if inner:
            clauses = tuple(parse_clause(text) for text in ([inner] if isinstance(inner, str) else inner))
            children.append(clauses[0] if len(clauses) == 1 else All(clauses))
    if not children:
        return Constant("!", False)
    return children[0] if len(children) == 1 else Either(tuple(children))
