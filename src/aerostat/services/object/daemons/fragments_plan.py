"""What one device does about the fragments of one name, given what all that could be asked hold of it. Pure.

All devices work it out alike, so that of several that could mend a thing one does. What is missing is rebuilt by the
nearest before it in the order of fragments that has a fragment of that version.
"""

from collections.abc import Mapping, Sequence

import msgspec

from ..stores.held import Held
from ..timestamp import Timestamp


class Bury(msgspec.Struct, frozen=True):
    """Tell a device of the deletion at that time."""

    key: str
    at: Timestamp


class MakeDurable(msgspec.Struct, frozen=True):
    """Tell a device that its fragment of that time counts."""

    key: str
    at: Timestamp


class Move(msgspec.Struct, frozen=True):
    """Give a fragment of ours to whose it is, and forget it."""

    key: str
    held: Held


class Rebuild(msgspec.Struct, frozen=True):
    """Make a fragment for who misses it."""

    key: str
    at: Timestamp
    index: int


class Revise(msgspec.Struct, frozen=True):
    """Tell a device what a POST said."""

    key: str


class Forget(msgspec.Struct, frozen=True):
    """Take away what is of no use here any more."""

    held: Held


Action = Bury | MakeDurable | Move | Rebuild | Revise | Forget


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """`slots`: keys of devices by the index of their fragment; the same may be there twice. `here`: what each that was
    asked holds of one name, `me` among them. `quorum`: fragments after which a write may have been acknowledged.
    `settled`: what is younger may be being written. `reclaim`: what is older need not be remembered.
    """

    me: str
    slots: Sequence[str]
    here: Mapping[str, Sequence[Held]]
    quorum: int
    settled: Timestamp
    reclaim: Timestamp

    @property
    def is_complete(self) -> bool:
        """All holders were asked."""
        return all(key in self.here for key in self.slots)


def plan_fragments(now: Situation) -> list[Action]:
    """In the order in which it is to be done."""
    counting = _counting(now)
    if counting is None:
        return [Forget(held) for held in now.here[now.me] if held.timestamp < now.reclaim and now.is_complete]
    at, is_gone = counting
    actions: list[Action] = _buried(now, at) if is_gone else _mended(now, at)
    for held in now.here[now.me]:
        if held.timestamp < at:
            if now.is_complete and not any(isinstance(one, Move) and one.held == held for one in actions):
                actions.append(Forget(held))
        elif held.timestamp > at and now.is_complete and held.timestamp < now.reclaim:
            actions.append(Forget(held))
    return actions


def _counting(now: Situation) -> tuple[Timestamp, bool] | None:
    """The newest version that counts: durable, a deletion, or written by so many that it may have been acknowledged."""
    counts = [
        (held.timestamp, held.is_gone)
        for versions in now.here.values()
        for held in versions
        if held.is_durable or held.is_gone
    ]
    indexes: dict[Timestamp, set[int]] = {}
    for held in (held for versions in now.here.values() for held in versions):
        if held.fragment is not None and held.timestamp < now.settled:
            indexes.setdefault(held.timestamp, set()).add(held.fragment)
    counts += [(at, False) for at, found in indexes.items() if len(found) >= now.quorum]
    return max(counts, default=None)


def _buried(now: Situation, at: Timestamp) -> list[Action]:
    actions: list[Action] = []
    others = [key for key in dict.fromkeys(now.slots) if key in now.here and key != now.me]
    mine = [held for held in now.here[now.me] if held.is_gone and held.timestamp == at]
    for key in others:
        versions = now.here[key]
        knows = any(held.is_gone and held.timestamp == at for held in versions)
        if mine and not knows and (versions or at >= now.reclaim):
            actions.append(Bury(key, at))
    if mine and now.is_complete:
        is_needed = any(not held.is_gone for key in others for held in now.here[key])
        if now.me not in now.slots or (at < now.reclaim and not is_needed):
            actions += [Forget(held) for held in mine]
    elif not mine and now.me in now.slots:
        actions.append(Bury(now.me, at))
    return actions


def _mended(now: Situation, at: Timestamp) -> list[Action]:
    of_now = {key: [held for held in versions if held.timestamp == at] for key, versions in now.here.items()}
    actions: list[Action] = []
    if any(not held.is_durable for held in of_now[now.me]):
        actions.append(MakeDurable(now.me, at))
    for held in of_now[now.me]:
        if held.fragment is None or now.slots[held.fragment] == now.me:
            continue
        owner = now.slots[held.fragment]
        if owner not in of_now:
            continue
        has = any(one.fragment == held.fragment for one in of_now[owner])
        durable = msgspec.structs.replace(held, is_durable=True)
        actions.append(Forget(durable) if has else Move(owner, durable))
    somewhere = {held.fragment for versions in of_now.values() for held in versions}
    for index, key in enumerate(now.slots):
        if key in of_now and index not in somewhere and _builder(now, of_now, index) == now.me:
            actions.append(Rebuild(key, at, index))
    said = [(held.revision_at, held.type_at) for held in of_now[now.me]]
    for key in dict.fromkeys(now.slots):
        if key == now.me or not of_now.get(key) or not said:
            continue
        heard = max((held.revision_at, held.type_at) for held in of_now[key])
        if any(mine > theirs for mine, theirs in zip(max(said), heard, strict=True)):
            actions.append(Revise(key))
    return actions


def _builder(now: Situation, of_now: Mapping[str, Sequence[Held]], index: int) -> str | None:
    """Who rebuilds a fragment: whose it is, if that has another one, or the nearest before."""
    count = len(now.slots)
    for back in range(1, count + 1):
        key = now.slots[(index - back) % count]
        if of_now.get(key):
            return key
    return next((key for key in sorted(of_now) if of_now[key]), None)
