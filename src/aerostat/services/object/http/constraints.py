"""What clients may send, checked before anything is asked of a device: names, metadata, sizes, times.

https://docs.openstack.org/swift/latest/misc.html#module-swift.common.constraints
"""

import math
import mimetypes
import time
from collections.abc import Mapping

from ..config import Limits
from .request import Request, is_true
from .response import HTML, Refusal

SHOWN_OF_A_NAME = 64
LISTED_BY = frozenset({"marker", "end_marker", "prefix", "delimiter", "path", "version_marker"})
"""What of a listing is asked for."""
LAST_MOMENT = 9_999_999_999
"""Ten digits, as times stand in names."""


def size_of(text: str) -> int:
    """Bytes of a text as it is sent."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


def check_utf8(text: str, what: str) -> None:
    """Raises `Refusal` 400 for text that came with other bytes."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Refusal(400, f"{what} must be valid UTF-8") from None


def check_metadata(headers: Mapping[str, str], kind: str, limits: Limits) -> None:
    """Raises `Refusal` 400 for headers whose values are too long, and for metadata that is too much.

    `kind`: `object`, `container`, `account`.
    """
    prefix = f"x-{kind}-meta-"
    count = total = 0
    for name, value in headers.items():
        length = size_of(value)
        if length > limits.max_header_size:
            raise Refusal(400, f"Header value too long: {name.title()[:SHOWN_OF_A_NAME]}")
        if not name.startswith(prefix):
            continue
        key = name[len(prefix) :]
        if not key:
            raise Refusal(400, "Metadata name cannot be empty")
        check_utf8(key, "Metadata name")
        if kind != "object":
            check_utf8(value, "Metadata value")
        if "\0" in key or "\0" in value:
            raise Refusal(400, "Metadata must not contain NUL")
        if size_of(key) > limits.max_meta_name_length:
            raise Refusal(400, f"Metadata name too long: {name.title()}")
        if length > limits.max_meta_value_length:
            raise Refusal(400, f"Metadata value longer than {limits.max_meta_value_length}: {name.title()}")
        count, total = count + 1, total + size_of(key) + length
    check_amount(count, total, limits)


def check_amount(count: int, total: int, limits: Limits) -> None:
    """Raises `Refusal` 400 when there are too many items of metadata, or too many bytes of them."""
    if count > limits.max_meta_count:
        raise Refusal(400, f"Too many metadata items; max {limits.max_meta_count}")
    if total > limits.max_meta_overall_size:
        raise Refusal(400, f"Total metadata too large; max {limits.max_meta_overall_size}")


def check_account_name(name: str, limits: Limits) -> None:
    if (length := size_of(name)) > limits.max_account_name_length:
        text = f"Account name length of {length} longer than {limits.max_account_name_length}"
        raise Refusal(400, text, {"content-type": HTML})


def check_container_name(name: str, limits: Limits) -> None:
    """The store's own names begin with NUL, and have room for another name."""
    most = limits.max_container_name_length * (2 if name.startswith("\0") else 1)
    if (length := size_of(name)) > most:
        raise Refusal(400, f"Container name length of {length} longer than {most}", {"content-type": HTML})


def check_new_object(request: Request, limits: Limits) -> None:
    """Raises `Refusal` when a PUT cannot be let in: 400, 411, 413."""
    name = request.name or ""
    length = request.body.length
    if length is not None and length > limits.max_file_size:
        raise Refusal(413, "Your request is too large.")
    if not (
        request.is_inner or "content-length" in request.headers or "transfer-encoding" in request.headers
    ):
        raise Refusal(411, "Missing Content-Length header.")
    most = limits.max_object_name_length * (2 if name.startswith("\0") else 1)
    if size_of(name) > most:
        raise Refusal(400, f"Object name length of {size_of(name)} longer than {most}")
    check_content_type(request)
    check_metadata(request.headers, "object", limits)


def check_content_type(request: Request) -> None:
    """Let the headers have a content type; the client's, or a guess by the name."""
    headers = request.headers
    if is_true(headers.get("x-detect-content-type", "")) or not headers.get("content-type"):
        guessed, _ = mimetypes.guess_type(request.name or "")
        headers["content-type"] = guessed or "application/octet-stream"
    elif "\0" in headers["content-type"]:
        raise Refusal(400, "Invalid Content-Type")
    check_utf8(headers["content-type"], "Content-Type")


def delete_at(headers: Mapping[str, str]) -> int | None:
    """When the object is to be deleted, in seconds since 1970. Raises `Refusal` 400 for no time, and for a past one."""
    text, name = headers.get("x-delete-after"), "X-Delete-After"
    base = 0
    if text is not None:
        base = int(time.time())
    else:
        text, name = headers.get("x-delete-at"), "X-Delete-At"
    if text is None or (name == "X-Delete-At" and not text.strip()):
        return None
    try:
        moment = base + int(text)
    except ValueError:
        raise Refusal(400, f"Non-integer {name}") from None
    if moment <= time.time():
        raise Refusal(400, f"{name} in past")
    return min(moment, LAST_MOMENT)


def listing_limit(request: Request, most: int) -> int:
    """How many rows a page may have. Raises `Refusal` 412, and 400 for a parameter of a listing that is no text."""
    for name, value in request.query.items():
        if name in LISTED_BY and not value.isprintable():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Refusal(400, f'"{name}" parameter not valid UTF-8') from None
    text = request.query.get("limit")
    if not text:
        return most
    if not (text.isascii() and text.isdigit()):
        return most
    limit = int(text[:20])
    if limit > most:
        raise Refusal(412, f"Maximum limit is {most}")
    return limit


def last_modified(moment: int) -> str:
    """An HTTP date of 10 µs since 1970, rounded up: a copy made from it is never older than what it is of."""
    return http_date(math.ceil(moment / 100_000))


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(seconds: int) -> str:
    """`Mon, 23 Nov 2026 08:19:28 GMT`"""
    now = time.gmtime(seconds)
    day, month = _DAYS[now.tm_wday], _MONTHS[now.tm_mon - 1]
    return f"{day}, {now.tm_mday:02d} {month} {now.tm_year:04d} {now.tm_hour:02d}:{now.tm_min:02d}:{now.tm_sec:02d} GMT"
