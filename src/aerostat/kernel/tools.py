"""Running other people's programs on files that users brought: with limits, and a clear word when they fail.

A tool gets no input, no environment, so much memory, processor time and wall time as it is given, and leaves no core.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable

from .errors import DriverError

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
MOST_OUTPUT_BYTES = 16 << 20
_COMPLAINT_BYTES = 16 << 10
_PIECE_BYTES = 64 << 10


class ToolMissing(DriverError):
    """It is not installed."""


class ToolFailed(DriverError):
    """It said no, or took too long; `detail` is the command and what it complained of."""


async def run_tool(
    *command: str,
    memory_bytes: int,
    cpu_s: int,
    limit_s: float,
    file_bytes: int | None = None,
    heard: Callable[[bytes], Awaitable[None]] | None = None,
) -> bytes:
    """Run a tool to its end and give its output. Raises `ToolMissing`, `ToolFailed`.

    `file_bytes`: the largest file that it may write. `heard` gets the output piece by piece while it comes.
    """
    if shutil.which(command[0], path=PATH) is None:
        raise ToolMissing(f"{command[0]} is not installed on this machine.")
    limits = [f"--as={memory_bytes}", f"--cpu={cpu_s}", "--core=0"]
    if file_bytes is not None:
        limits.append(f"--fsize={file_bytes}")
    process = await asyncio.create_subprocess_exec(
        *("prlimit", *limits, "--"),
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"LC_ALL": "C", "PATH": PATH},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(limit_s):
            out, complaint = await asyncio.gather(
                _collected(process.stdout, MOST_OUTPUT_BYTES, heard),
                _collected(process.stderr, _COMPLAINT_BYTES, None),
            )
            await process.wait()
    except TimeoutError:
        raise ToolFailed(f"{command[0]} took too long.", detail=" ".join(command), retry=True) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said = complaint.decode(errors="replace").strip()[-500:] or f"ended with {process.returncode}"
        raise ToolFailed(f"{command[0]} failed.", detail=f"{' '.join(command)}: {said}")
    return out


async def _collected(
    stream: asyncio.StreamReader, most_bytes: int, heard: Callable[[bytes], Awaitable[None]] | None
) -> bytes:
    """The beginning of what a stream says; the rest is read too, or its writer would wait for ever."""
    kept = bytearray()
    while piece := await stream.read(_PIECE_BYTES):
        kept += piece[: most_bytes - len(kept)]
        if heard is not None:
            await heard(piece)
    return bytes(kept)
