"""An object, or what a POST said of it, from one device to another: its bytes are checked on the way."""

import contextlib
from collections.abc import AsyncIterator
from hashlib import md5

from ..stores.device import LocalDevice
from ..stores.object_file import Damaged, Facts
from ..stores.opened import Superseded
from ..stores.protocol import DeviceVerbs, OpenObject, Place
from .pace import Pace

PIECE = 1 << 20


class SourceDamaged(Exception):
    """What was to be copied is not whole."""


async def copy_object(
    source: LocalDevice, target: DeviceVerbs, policy: int, place: Place, pace: Pace, *, whole: bool
) -> int:
    """Let the target have what the source has, unless it has newer; `whole` false: only what a POST said. Answers how
    many bytes went. Raises `SourceDamaged`, when the source has put it aside, and what devices raise.
    """
    try:
        found = await source.find(policy, place)
    except Damaged as damage:
        raise SourceDamaged(damage.reason) from damage
    if found is None:
        return 0
    try:
        sent = await _write(found, target, policy, place, pace) if whole else 0
        if found.revision is not None and not found.written.is_gone:
            with contextlib.suppress(Superseded):
                await target.post(policy, place, found.revision)
        return sent
    except SourceDamaged as damage:
        await found.put_aside(str(damage))
        raise
    finally:
        await found.close()


async def _write(found: OpenObject, target: DeviceVerbs, policy: int, place: Place, pace: Pace) -> int:
    facts = found.written
    with contextlib.suppress(Superseded):
        if facts.is_gone:
            await target.delete(policy, place, facts.path, facts.timestamp)
            return 0
        if found.data is not None:
            await pace.spend(facts.size)
            check(facts, md5(found.data, usedforsecurity=False).hexdigest(), len(found.data))
            await target.put(policy, place, found.data, facts)
            return facts.size
        writing = await target.begin(policy, place, facts.size)
        try:
            async for piece in checked(found, facts, pace):
                await writing.write(piece)
            await writing.commit(facts)
        finally:
            await writing.close()
    return facts.size


async def checked(found: OpenObject, facts: Facts, pace: Pace) -> AsyncIterator[bytes]:
    """All bytes. Raises `SourceDamaged`, be it after the last, when they are not those that were written."""
    digest, size = md5(usedforsecurity=False), 0
    try:
        for start in range(0, facts.size, PIECE):
            await pace.spend(min(PIECE, facts.size - start))
            async for piece in found.stream(start, min(start + PIECE, facts.size)):
                digest.update(piece)
                size += len(piece)
                yield piece
    except (Damaged, EOFError) as error:
        raise SourceDamaged(str(error)) from error
    check(facts, digest.hexdigest(), size)


def check(facts: Facts, digest: str, size: int) -> None:
    """Raises `SourceDamaged`."""
    if size != facts.size:
        raise SourceDamaged(f"it has {size} bytes instead of {facts.size}")
    if facts.checksum not in (None, digest):
        raise SourceDamaged("its bytes have another MD5")
