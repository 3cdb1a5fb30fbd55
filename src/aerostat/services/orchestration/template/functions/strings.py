"""Functions that make strings, or take them apart."""

import hashlib
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode, urlunsplit

from ..snippets import MOST_CHARACTERS, Call, Function, Scope

_MOST_WORK, _PIECE_COST = 100_000_000, 30  # characters to search; what a piece of text costs besides


def check_length(characters: int) -> None:
    """Refuse to make a string of this length. Asked before it is made."""
    if characters > MOST_CHARACTERS:
        raise ValueError(f"The result would be larger than {MOST_CHARACTERS} characters")


def to_json(value: Any) -> str:
    """As Heat writes maps and lists into strings: keys sorted."""
    return json.dumps(value, sort_keys=True)


# -- str_replace and its stricter sisters


def _check_replace(name: str, args: Any) -> None:
    if not isinstance(args, dict):
        raise TypeError(f'Arguments to "{name}" must be a map')
    if "params" not in args or "template" not in args:
        raise KeyError(
            f'"{name}" syntax should be {name}:\n  template: This is var1 template var2\n'
            "  params:\n    var1: a\n    var2: string"
        )
    if not isinstance(args["params"], dict | Call):
        raise TypeError(f'"{name}" parameters must be a mapping')


def replace_in(name: str, template: Any, params: Any, *, as_json: bool, strict: bool, filled: bool) -> str:
    """Put values for placeholders, the longest first. What was put in is not searched again.

    `as_json`: maps and lists may be put in. `strict`: every placeholder must occur. `filled`: none is empty.
    """
    if not isinstance(template, str):
        raise TypeError(f'"{name}" template must be a string')
    if not isinstance(params, dict):
        raise TypeError(f'"{name}" params must be a map')
    missing = set(params)
    order = sorted(sorted(params), key=len, reverse=True)
    texts = [(key, _replacement(name, key, params[key], as_json, filled)) for key in order]

    pieces: list[tuple[bool, str]] = [(True, template)]  # whether it is searched, and what
    length, work = len(template), 0
    for key, value in texts:
        work += length + _PIECE_COST * len(pieces)
        if work > _MOST_WORK:
            raise ValueError(f'"{name}" has too many params for so long a template')
        count = sum(text.count(key) for searched, text in pieces if searched) if key else 0
        if not count:
            continue
        missing.discard(key)
        length += count * (len(value) - len(key))
        check_length(length)
        replaced: list[tuple[bool, str]] = []
        for searched, text in pieces:
            if not searched or key not in text:
                replaced.append((searched, text))
                continue
            first, *others = text.split(key)
            replaced.append((True, first))
            for one in others:
                replaced += ((False, value), (True, one))
        pieces = [piece for piece in replaced if piece[1]]
    result = "".join(text for _, text in pieces)
    if strict and missing:
        names = ",".join(key for key in order if key in missing)
        raise ValueError(f"The following params were not found in the template: {names}")
    return result


def _replacement(name: str, key: str, value: Any, as_json: bool, filled: bool) -> str:
    if value is None:
        text = ""
    elif isinstance(value, str | int | float):
        text = str(value)
    elif as_json and isinstance(value, dict | list):
        text = to_json(value) if value or not filled else ""
    elif as_json:
        raise TypeError(f'"{name}" params must be strings, numbers, list or map.')
    else:
        raise TypeError(f'"{name}" params must be strings or numbers, param {key} is not valid')
    if filled and not text:
        raise ValueError(
            f"{name} has an undefined or empty value for param {key}, must be a defined non-empty value"
        )
    return text


def _replacer(name: str, *, as_json: bool = True, strict: bool = False, filled: bool = False) -> Function:
    def evaluate(name: str, args: Any, scope: Scope) -> str:
        return replace_in(
            name, args["template"], args["params"], as_json=as_json, strict=strict, filled=filled
        )

    return Function(name, "A function for performing string substitutions.", evaluate, check=_check_replace)


str_replace_plain = _replacer("str_replace", as_json=False)
"""Until 2015-04-30: strings and numbers only."""

str_replace = _replacer("str_replace")
str_replace_strict = _replacer("str_replace_strict", strict=True)
str_replace_vstrict = _replacer("str_replace_vstrict", strict=True, filled=True)


# -- list_join


def _check_join_one(name: str, args: Any) -> None:
    if not isinstance(args, list) or len(args) != 2:
        raise ValueError(f'Incorrect arguments to "{name}" should be: "{name}" : [ " ", [ "str1", "str2"]]')


def _join_one(name: str, args: Any, scope: Scope) -> str:
    _check_join_one(name, args)
    delimiter, items = args
    if not isinstance(items, list | None):
        raise TypeError(f'"{name}" must operate on a list')
    for item in items or ():
        if not isinstance(item, str | None):
            raise TypeError(f"Items to join must be strings not {item!r:.200}")
    return _joined(_delimiter(name, delimiter), [item or "" for item in items or ()])


def _check_join(name: str, args: Any) -> None:
    if not isinstance(args, list) or len(args) < 2:
        raise ValueError(
            f'Incorrect arguments to "{name}" should be: "{name}" : [ " ", [ "str1", "str2"] ...]'
        )


def _join(name: str, args: Any, scope: Scope) -> str:
    delimiter, *lists = args
    items: list[Any] = []
    for one in lists:
        if one:
            if not isinstance(one, list):
                raise TypeError(f'"{name}" must operate on a list')
            items += one
    return _joined(_delimiter(name, delimiter), [_joined_item(item) for item in items])


def _joined(delimiter: str, items: list[str]) -> str:
    check_length(len(delimiter) * len(items) + sum(map(len, items)))
    return delimiter.join(items)


def _joined_item(item: Any) -> str:
    if item is None:
        return ""
    if isinstance(item, str):
        return item
    if isinstance(item, dict | list):
        return to_json(item)
    raise TypeError(f"Items to join must be string, map or list not {item!r:.200}")


def _delimiter(name: str, delimiter: Any) -> str:
    if not isinstance(delimiter, str):
        raise TypeError(f'"{name}" delimiter must be a string')
    return delimiter


list_join_one = Function("list_join", "A function for joining strings.", _join_one, check=_check_join_one)
"""Until 2015-04-30: one list, of strings."""

list_join = Function(
    "list_join", "A function for joining one or more lists of strings.", _join, check=_check_join
)
join_cfn = replace(list_join_one, name="Fn::Join")


# -- str_split


def _check_split(name: str, args: Any) -> None:
    if isinstance(args, Call):
        return
    if not isinstance(args, list) or not 2 <= len(args) <= 3:
        raise TypeError(
            f'Incorrect arguments to "{name}" should be: "{name}" : [ ",", "apples,pears", <index>]'
        )


def _str_split(name: str, args: Any, scope: Scope) -> Any:
    _check_split(name, args)
    delimiter, text, *index = args
    if text is None:
        return None
    if not isinstance(text, str) or not isinstance(delimiter, str) or not delimiter:
        raise TypeError(f'Incorrect arguments to "{name}": delimiter and text must be strings')
    parts = text.split(delimiter)
    if not index:
        return parts
    try:
        return parts[int(index[0])]
    except (ValueError, TypeError):
        raise ValueError(
            f'Incorrect index to "{name}" should be: "{name}" : [ ",", "apples,pears", <index>]'
        ) from None
    except IndexError:
        raise ValueError(f'Incorrect index to "{name}" should be between 0 and {len(parts) - 1}') from None


str_split = Function(
    "str_split", "A function for splitting delimited strings into a list.", _str_split, check=_check_split
)


# -- digest


def _check_digest(name: str, args: Any) -> None:
    if isinstance(args, list) and len(args) != 2:
        raise ValueError(f'Function "{name}" usage: ["<algorithm>", "<value>"]')
    if not isinstance(args, list | Call):
        raise TypeError(f'Argument to function "{name}" must be a list of strings')


def _digest(name: str, args: Any, scope: Scope) -> str:
    """The text's UTF-8 bytes are digested."""
    _check_digest(name, args)
    algorithm, value = args
    if not isinstance(algorithm, str) or not isinstance(value, str):
        raise TypeError(f'Argument to function "{name}" must be a list of strings')
    known = {one for one in hashlib.algorithms_available if not one.startswith("shake")}
    if algorithm.lower() not in known:
        raise ValueError(f"Algorithm must be one of {', '.join(sorted(known))}")
    return hashlib.new(algorithm.lower(), value.encode(), usedforsecurity=False).hexdigest()


digest = Function("digest", "A function for performing digest operations.", _digest, check=_check_digest)


# -- make_url

_URL_KEYS = ("scheme", "username", "password", "host", "port", "path", "query", "fragment")


def _check_url(name: str, args: Any) -> None:
    if isinstance(args, Call):
        return
    if not isinstance(args, dict):
        raise TypeError(f'The arguments to "{name}" must be a map')
    unknown = [key for key in args if key not in _URL_KEYS]
    if unknown:
        raise ValueError(f'Invalid arguments to "{name}": {", ".join(unknown)}')
    for key, value in args.items():
        if isinstance(value, Call):
            continue
        if key == "query":
            if not isinstance(value, dict):
                raise TypeError(f'The "query" argument to "{name}" must be a map')
        elif key == "port":
            _check_port(name, value)
        elif not isinstance(value, str):
            raise TypeError(f'The "{key}" argument to "{name}" must be a string')


def _check_port(name: str, port: Any) -> None:
    try:
        number = int(port)
    except (ValueError, TypeError):
        raise ValueError(f'Invalid URL port "{port}" for {name}') from None
    if not 0 < number <= 65535:
        raise ValueError(f"Invalid URL port {number}, must be in range 1-65535")


def _make_url(name: str, args: Any, scope: Scope) -> str:
    if not isinstance(args, dict):
        raise TypeError(f'The arguments to "{name}" must be a map')
    args = {key: value for key, value in args.items() if value is not None}
    _check_url(name, args)
    scheme = args.get("scheme", "")
    if ":" in scheme:
        raise ValueError("URL \"scheme\" should not contain ':'")
    user = quote(args.get("username", ""), safe="")
    if password := args.get("password"):
        user += ":" + quote(password, safe="")
    host = args.get("host", "")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    host = quote(host, safe=":")
    if ":" in host:
        host = f"[{host}]"
    netloc = (f"{user}@" if user else "") + host + (f":{args['port']}" if "port" in args else "")
    query = urlencode(args.get("query", {})).replace("%2F", "/")
    path, fragment = quote(args.get("path", "")), quote(args.get("fragment", ""))
    url: str = urlunsplit((scheme, netloc, path, query, fragment))
    return url


make_url = Function(
    "make_url", "A function for building a URL from its components.", _make_url, check=_check_url
)
