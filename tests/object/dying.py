"""Writers that die at any call."""

import os

from aerostat.services.object.stores import fragments, objects, opened, tree

MODULES = (fragments, objects, opened, tree)
"""Those that change what is on the disk by calls of `os`."""


class Died(BaseException):
    """Not to be caught."""


class DyingOs:
    """The module `os`, until its n-th call that changes something: from then on nothing works any more."""

    CHANGES = frozenset(
        {"open", "write", "fdatasync", "fsync", "rename", "unlink", "mkdir", "ftruncate", "close"}
    )

    def __init__(self, calls):
        self.left = calls
        self.trace = []
        self.opened = set()

    def bury(self):
        """What the kernel does for a process that is dead."""
        for fd in self.opened:
            os.close(fd)

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in self.CHANGES:
            return real

        def call(*args, **more):
            if self.left <= 0:
                raise Died
            self.left -= 1
            self.trace.append((name, args))
            answer = real(*args, **more)
            if name == "open":
                self.opened.add(answer)
            elif name == "close":
                self.opened.discard(args[0])
            return answer

        return call


def replace_os(patch, other):
    for module in MODULES:
        patch.setattr(module, "os", other)
