"""Kernel modules: which ones a part of the guest needs, and in what order they load."""

import lzma
import re
from dataclasses import dataclass

from .packages import Debian
from .tools import run


@dataclass(frozen=True)
class Module:
    """A module as a file without compression, ready for insmod."""

    name: str
    content: bytes


class Modules:
    """The modules of the downloaded kernel."""

    def __init__(self, debian: Debian) -> None:
        self._folder = debian.modules
        # depmod wants the folder in which lib/modules is
        run("depmod", "-b", self._folder.parent.parent.parent, self._folder.name)
        self._needs: dict[str, list[str]] = {}
        for line in (self._folder / "modules.dep").read_text().splitlines():
            path, _, needs = line.partition(":")
            self._needs[path] = needs.split()

    def load_order(self, *names: str) -> list[Module]:
        """`names` and what they need, each after what it needs; what is built into the kernel is left out."""
        paths: list[str] = []
        for name in names:
            for path, needs in self._needs.items():
                if re.fullmatch(rf"(.*/)?{re.escape(name)}\.ko(\.xz)?", path):
                    # "a.ko: b.ko c.ko" is to be loaded from right to left
                    paths += [each for each in (*reversed(needs), path) if each not in paths]
        return [self._read(path) for path in paths]

    def _read(self, path: str) -> Module:
        file = self._folder / path
        if file.suffix == ".xz":
            return Module(file.stem, lzma.decompress(file.read_bytes()))
        return Module(file.name, file.read_bytes())
