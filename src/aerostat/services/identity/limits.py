"""How limits of projects and of their domains bind each other: the enforcement models of unified limits.

https://docs.openstack.org/keystone/latest/admin/unified-limits.html

* `flat`: every limit stands by itself.
* `strict_two_level`: a domain's limit is shared by its projects, no project's own limit exceeds it, and projects have
  no projects below them.
"""

from collections.abc import Iterable

import msgspec

from aerostat.kernel.quota import UNLIMITED


class Model(msgspec.Struct, frozen=True):
    name: str
    description: str
    max_depth: int | None = None
    """How deep the tree may be, its domain counted; None: as deep as projects go anyway."""

    @property
    def shares(self) -> bool:
        """Whether what a domain may have is shared by its projects."""
        return self.max_depth is not None


MODELS = {
    model.name: model
    for model in (
        Model("flat", "Every limit stands by itself: the tree of projects plays no part."),
        Model(
            "strict_two_level", "A domain shares its limit among its projects; there are no deeper trees.", 2
        ),
    )
}


def exceeds(limit: int, bound: int | None) -> bool:
    """Whether `limit` allows more than `bound`; None is no bound, -1 allows anything."""
    if bound is None or bound == UNLIMITED:
        return False
    return limit == UNLIMITED or limit > bound


def fits(limit: int, *, above: int | None = None, below: Iterable[int] = ()) -> bool:
    """Whether a limit keeps below its domain's and above those of its projects."""
    return not exceeds(limit, above) and not any(exceeds(one, limit) for one in below)
