"""First things of a fresh cloud: flavors. The ids are those that people know from other clouds."""

from typing import TYPE_CHECKING

from . import model

if TYPE_CHECKING:
    from aerostat.kernel.house import House

# id, name, memory (MiB), processors, disk (GiB)
FLAVORS = (
    ("42", "m1.nano", 128, 1, 1),
    ("84", "m1.micro", 192, 1, 1),
    ("1", "m1.tiny", 512, 1, 1),
    ("2", "m1.small", 2048, 1, 20),
    ("3", "m1.medium", 4096, 2, 40),
    ("4", "m1.large", 8192, 4, 80),
)


async def bootstrap(house: "House") -> None:
    """Make the flavors, unless there are any: an operator who removed one does not get it back."""
    async with house.store.transaction() as tx:
        if await tx.count(model.FLAVORS):
            return
        for id, name, memory_mib, vcpus, disk_gib in FLAVORS:
            await tx.insert(
                model.FLAVORS, id=id, name=name, memory_mib=memory_mib, vcpus=vcpus, disk_gib=disk_gib
            )
