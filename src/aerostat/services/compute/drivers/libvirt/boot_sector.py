"""Guests of 512 bytes: real-mode code that a PC's firmware loads and starts.

The accelerator's proof needs one, and tests of the driver boot one in a second where a real guest takes
half a minute under emulation.
"""

_COM1 = 0x3F8
_EXIT_DEVICE = 0xF4
_SECTOR = 512


def exit_by_device(text: bytes) -> bytes:
    """Write `text` to the first serial port, then 0x10 to QEMU's exit device."""
    return _sector(_print(text) + _mov_dx(_EXIT_DEVICE) + b"\xb0\x10\xee" + _HALT)


def print_and_halt(text: bytes) -> bytes:
    """Write `text` to the first serial port and sleep for ever."""
    return _sector(_print(text) + _HALT)


def echo(text: bytes) -> bytes:
    """Write `text`, then send back whatever comes in on the serial line."""
    # again: mov dx,3fd / in al,dx / test al,1 / jz again / mov dx,3f8 / in al,dx / out dx,al / jmp again
    loop = b"\xba\xfd\x03\xec\xa8\x01\x74\xf8\xba\xf8\x03\xec\xee\xeb\xf1"
    return _sector(_print(text) + loop)


def scribble(text: bytes) -> bytes:
    """Write `text`, then half a megabyte of memory, over and over: a guest that is hard to migrate."""
    # again: inc bx / mov dx,1000 / next: mov es,dx / xor di,di / mov cx,8000 / mov ax,bx / rep stosw
    # add dx,1000 / cmp dx,9000 / jb next / jmp again
    fill = b"\x43\xba\x00\x10\x8e\xc2\x31\xff\xb9\x00\x80\x89\xd8\xf3\xab"
    loop = b"\x81\xc2\x00\x10\x81\xfa\x00\x90\x72\xeb\xeb\xe5"
    return _sector(_print(text) + fill + loop)


_HALT = b"\xf4\xeb\xfd"  # hlt / jmp to it


def _mov_dx(port: int) -> bytes:
    return b"\xba" + port.to_bytes(2, "little")


def _print(text: bytes) -> bytes:
    # mov al,c / out dx,al for each byte: no stack, no data segment, nothing that could be wrong
    return _mov_dx(_COM1) + b"".join(b"\xb0" + bytes([c]) + b"\xee" for c in text)


def _sector(code: bytes) -> bytes:
    if len(code) > _SECTOR - 2:
        raise ValueError("the code does not fit into a boot sector")
    return code.ljust(_SECTOR - 2, b"\0") + b"\x55\xaa"
