"""Guests of 512 bytes: real-mode code that a PC's firmware loads and starts.

The accelerator's proof needs one, and tests of the driver boot one in a second where a real guest takes
half a minute under emulation.
"""

_COM1 = 0x3F8
_EXIT_DEVICE = 0xF4
_SECTOR = 512
_ORIGIN = 0x7C00  # where the firmware puts the sector


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


def fill_and_halt(text: bytes) -> bytes:
    """Fill the second eight megabytes of memory, write `text`, sleep: a guest that takes a while to migrate."""
    # xor ax,ax / mov ds,ax / mov dx,1000 / mov es,dx / xor di,di / mov cx,8000 / mov ax,abcd / rep stosw
    # xor ax,ax / mov es,ax: a pattern in one segment, which the BIOS then copies beyond the first megabyte
    pattern = b"\x31\xc0\x8e\xd8\xba\x00\x10\x8e\xc2\x31\xff\xb9\x00\x80\xb8\xcd\xab\xf3\xab\x31\xc0\x8e\xc0"
    table = 0x100
    at = (_ORIGIN + table).to_bytes(2, "little")
    target = (_ORIGIN + table + 0x1C).to_bytes(2, "little")  # bits 16 to 23 of where to
    # again: mov si,table / mov cx,8000 / mov ah,87 / int 15 / inc byte [target] / jnz again
    copy = b"\xbe" + at + b"\xb9\x00\x80\xb4\x87\xcd\x15\xfe\x06" + target + b"\x75\xf0"
    code = pattern + copy + _print(text) + _HALT
    segment = b"\xff\xff\x00\x00%c\x93\x00\x00"
    return _sector(code.ljust(table, b"\0") + bytes(16) + segment % 0x01 + segment % 0x80 + bytes(16))


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
