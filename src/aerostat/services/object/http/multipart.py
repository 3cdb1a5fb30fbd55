"""Forms as browsers send them, read while they come: no part is ever whole in memory.

https://www.rfc-editor.org/rfc/rfc7578, https://www.rfc-editor.org/rfc/rfc2046#section-5.1
"""

import re
from collections.abc import AsyncIterator

from .response import Refusal

LONGEST_HEAD = 16 << 10
_PARAMETER = re.compile(r';\s*([^=;\s]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^;\s]*))')


def parameters(header: str) -> tuple[str, dict[str, str]]:
    """`form-data; name="a"` → `("form-data", {"name": "a"})`"""
    found = {
        match[1].lower(): re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
        for match in _PARAMETER.finditer(header)
    }
    return header.partition(";")[0].strip().lower(), found


class Part:
    """`headers` by lower case name; its bytes come once, by iterating."""

    def __init__(self, headers: dict[str, str], form: "Form") -> None:
        self.headers = headers
        self._form = form

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._form.rest_of_part()

    async def read(self, limit: int) -> bytes:
        """The first `limit` bytes; what comes after is dropped."""
        kept = b""
        async for piece in self:
            kept += piece[: limit - len(kept)]
        return kept


class Form:
    """Its parts, one after the other; what was not read of one is passed over."""

    def __init__(self, chunks: AsyncIterator[bytes], boundary: str) -> None:
        self._chunks = chunks
        self._delimiter = b"\r\n--" + boundary.encode("utf-8", "surrogateescape")
        self._buffer = b"\r\n"
        self._is_ended = False
        self._in_part = False

    async def parts(self) -> AsyncIterator[Part]:
        """Raises `Refusal` 400 for what is no such form."""
        await self._begin()
        while await self._next_part():
            self._in_part = True
            yield Part(await self._head(), self)
            async for _ in self.rest_of_part():
                pass

    async def rest_of_part(self) -> AsyncIterator[bytes]:
        keep = len(self._delimiter) - 1
        while self._in_part:
            at = self._buffer.find(self._delimiter)
            if at >= 0 or self._is_ended:
                piece = self._buffer[:at] if at >= 0 else self._buffer
                self._buffer = self._buffer[at + len(self._delimiter) :] if at >= 0 else b""
                self._in_part = False
                if piece:
                    yield piece
                return
            if len(self._buffer) > keep:
                piece, self._buffer = self._buffer[:-keep], self._buffer[-keep:]
                yield piece
            await self._fill()

    async def _begin(self) -> None:
        """Empty lines may stand before the first boundary."""
        while True:
            self._buffer = self._buffer.lstrip(b"\r\n")
            text = b"\r\n" + self._buffer
            if len(text) >= len(self._delimiter) or self._is_ended:
                break
            await self._fill()
        if not text.startswith(self._delimiter):
            raise Refusal(400, "FormPost: invalid starting boundary")
        self._buffer = text[len(self._delimiter) :]

    async def _next_part(self) -> bool:
        """Behind a boundary: whether another part follows."""
        while len(self._buffer) < 2 and not self._is_ended:
            await self._fill()
        if not self._buffer.startswith(b"\r\n"):
            return False
        self._buffer = self._buffer[2:]
        return True

    async def _head(self) -> dict[str, str]:
        while b"\r\n\r\n" not in self._buffer and not self._buffer.startswith(b"\r\n"):
            if self._is_ended or len(self._buffer) > LONGEST_HEAD:
                raise Refusal(400, "FormPost: a part without an end of its headers")
            await self._fill()
        if self._buffer.startswith(b"\r\n"):
            self._buffer = self._buffer[2:]
            return {}
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        lines = (line.partition(":") for line in head.decode("utf-8", "surrogateescape").split("\r\n"))
        return {name.strip().lower(): value.strip() for name, _, value in lines}

    async def _fill(self) -> None:
        chunk = await anext(self._chunks, None)
        if chunk is None:
            self._is_ended = True
        else:
            self._buffer += chunk
