"""Tools under limits: their output, their complaints, and how they are ended."""

import time

import pytest

from aerostat.kernel.tools import ToolFailed, ToolMissing, run_tool

LIMITS = {"memory_bytes": 1 << 30, "cpu_s": 5, "limit_s": 20.0}


async def run(*command: str, **more: float) -> bytes:
    return await run_tool(*command, **{**LIMITS, **more})  # type: ignore[arg-type]


async def test_what_it_says_comes_piece_by_piece_and_whole() -> None:
    heard: list[bytes] = []

    async def hear(piece: bytes) -> None:
        heard.append(piece)

    out = await run_tool(
        *("sh", "-c", "echo $PATH; echo ${HOME:-none}"),
        memory_bytes=1 << 30,
        cpu_s=5,
        limit_s=20,
        heard=hear,
    )
    assert out.endswith(b"none\n")
    assert b"".join(heard) == out


async def test_its_complaint_is_the_detail() -> None:
    with pytest.raises(ToolFailed) as failed:
        await run("sh", "-c", "echo no such luck >&2; exit 3")
    assert str(failed.value.detail).endswith("no such luck")


async def test_a_tool_that_is_not_there() -> None:
    with pytest.raises(ToolMissing) as missing:
        await run("no-such-tool-anywhere")
    assert missing.value.message == "no-such-tool-anywhere is not installed on this machine."


async def test_limits_hold() -> None:
    began_s = time.monotonic()
    with pytest.raises(ToolFailed) as late:
        await run("sleep", "60", limit_s=0.2)
    assert late.value.retry
    with pytest.raises(ToolFailed):
        await run("sh", "-c", "while :; do :; done", cpu_s=1)
    with pytest.raises(ToolFailed):
        await run("dd", "if=/dev/zero", "of=/dev/null", "bs=512M", "count=1", memory_bytes=100 << 20)
    assert time.monotonic() - began_s < 15


async def test_no_file_becomes_larger_than_allowed(tmp_path: object) -> None:
    with pytest.raises(ToolFailed):
        await run("dd", "if=/dev/zero", f"of={tmp_path}/out", "bs=1M", "count=2", file_bytes=1 << 20)
