"""Bytes that rot on a disk are never given out: others are read instead, or the answer ends before them."""

import contextlib
import os
import random

import msgspec
import pytest
from structlog.testing import capture_logs

from aerostat.services.object.stores.object_file import SMALL, Damaged, read
from aerostat.services.object.stores.sums import PIECE, Sums, is_piece, length_of_sums

from .faults import Devices, facts, leftovers
from .faults import read as read_object
from .faults import write as write_object
from .kit import opened
from .nodes import until
from .slo_kit import made
from .test_encryption import on
from .test_objects_on_disk import device_at

SIZE = 5 * PIECE + 1234
CODED = {"policies": [{"index": 0, "name": "coded", "kind": "erasure", "ec_data": 3, "ec_parity": 2}]}
PLACES = {
    "the first byte": 0,
    "in the first piece": 1000,
    "the end of a piece": PIECE - 1,
    "the beginning of a piece": PIECE,
    "in the middle": 3 * PIECE + 77,
    "the last byte": SIZE - 1,
    "a sum": SIZE + 8 * 2 + 3,
    "the last sum": SIZE + 8 * 5 + 7,
}


def flip(path, at):
    with path.open("r+b") as file:
        file.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0x10]))


def files(folder, larger_than=SMALL):
    """Of objects and fragments, by device."""
    found = [*folder.glob("**/objects/*/*/*"), *folder.glob("**/fragments*/*/*/*")]
    return sorted(
        path
        for path in found
        if path.stat().st_size > larger_than and not {"quarantined", "wounded"} & {*path.parts}
    )


def put_aside(folder):
    """What stands for no object any more: all of it damaged, or a piece."""
    found = [*folder.glob("**/quarantined/*/*"), *folder.glob("**/wounded/*/*")]
    return [path for path in found if path.is_file()]


@contextlib.asynccontextmanager
async def holding(folder, data, **settings):
    """A store with an object."""
    async with opened(folder, **settings) as store:
        await store.put("/v1/a/c")
        await store.put("/v1/a/c/o", data)
        yield store


# One copy


@pytest.mark.parametrize("at", PLACES.values(), ids=PLACES)
async def test_of_one_copy_the_answer_ends_before_the_damage(tmp_path, at):
    data = random.Random(at).randbytes(SIZE)
    async with holding(tmp_path, data) as store:
        (path,) = files(tmp_path)
        flip(path, at)
        with capture_logs() as logs:
            got = await store("GET", "/v1/a/c/o")
        assert (got.status, got.headers["content-length"]) == (200, str(SIZE))
        sound = at // PIECE if at < SIZE else (at - SIZE) // 8
        assert got.body == data[: sound * PIECE]
        assert {"damaged file put aside", "the answer broke off"} <= {one["event"] for one in logs}
        assert len(put_aside(tmp_path)) == 1
        again = await store("GET", "/v1/a/c/o")
        assert (again.status, again.body) == (200, got.body)
        await store.put("/v1/a/c/o", b"again")
        assert (await store("GET", "/v1/a/c/o")).body == b"again"
        assert not put_aside(tmp_path)


@pytest.mark.parametrize("at", [-1, -20, -24, -30, -60], ids=str)
async def test_a_file_whose_end_is_damaged_is_not_opened(tmp_path, at):
    async with holding(tmp_path, os.urandom(SIZE)) as store:
        (path,) = files(tmp_path)
        flip(path, at)
        assert (await store("GET", "/v1/a/c/o")).status == 503
        assert len(put_aside(tmp_path)) == 1
        assert (await store("GET", "/v1/a/c/o")).status == 404


async def test_what_lies_between_others_is_found_too(tmp_path):
    """Pieces that changed places, an empty page, a file that ends early under whoever reads it."""
    data = os.urandom(SIZE)
    for number, harm in enumerate(
        (
            lambda whole: whole[PIECE : 2 * PIECE] + whole[:PIECE] + whole[2 * PIECE :],
            lambda whole: whole[: PIECE + 4096] + bytes(4096) + whole[PIECE + 8192 :],
            lambda whole: whole[:PIECE] + whole[:PIECE] + whole[2 * PIECE :],
        )
    ):
        async with holding(tmp_path / str(number), data) as store:
            (path,) = files(tmp_path / str(number))
            path.write_bytes(harm(path.read_bytes()))
            got = await store("GET", "/v1/a/c/o")
            assert got.body == data[: len(got.body)]
            assert len(got.body) in (0, PIECE)


async def test_ranges_look_at_the_pieces_that_they_touch(tmp_path):
    data = os.urandom(SIZE)
    async with holding(tmp_path, data) as store:
        (path,) = files(tmp_path)
        flip(path, 2 * PIECE + 500)

        async def span(first, last):
            return await store("GET", "/v1/a/c/o", headers={"range": f"bytes={first}-{last}"})

        for first, last in (
            (0, 2 * PIECE - 1),
            (PIECE - 5, PIECE + 5),
            (3 * PIECE, SIZE - 1),
            (SIZE - 1, SIZE),
        ):
            got = await span(first, last)
            assert (got.status, got.body) == (206, data[first : last + 1])
        assert not put_aside(tmp_path)
        got = await span(2 * PIECE + 10_000, 2 * PIECE + 10_009)  # its bytes are sound: who could tell?
        assert (got.status, got.body) == (206, b"")
        assert len(put_aside(tmp_path)) == 1


async def test_several_ranges_end_at_the_damage(tmp_path):
    data = os.urandom(SIZE)
    async with holding(tmp_path, data) as store:
        (path,) = files(tmp_path)
        flip(path, 4 * PIECE)
        spans = f"bytes=5-14,{PIECE - 3}-{PIECE + 6},{4 * PIECE + 100}-{4 * PIECE + 109},20-29"
        got = await store("GET", "/v1/a/c/o", headers={"range": spans})
        assert got.status == 206
        assert len(got.body) < int(got.headers["content-length"])
        assert data[5:15] in got.body
        assert data[PIECE - 3 : PIECE + 7] in got.body
        assert got.body.endswith(f"bytes {4 * PIECE + 100}-{4 * PIECE + 109}/{SIZE}\r\n\r\n".encode())
        assert len(put_aside(tmp_path)) == 1


async def test_a_damaged_segment_ends_a_large_object(tmp_path):
    segments = {name: os.urandom(2 * PIECE) for name in ("s-a", "s-b", "s-c")}
    async with opened(tmp_path) as store:
        await store.put("/v1/a/c")
        for name, data in segments.items():
            before = files(tmp_path)
            await store.put(f"/v1/a/c/{name}", data)
            if name == "s-b":
                (middle,) = set(files(tmp_path)) - set(before)
        await made(store, *segments)
        await store.put("/v1/a/c/d", b"", x_object_manifest="c/s-")
        flip(middle, PIECE + 9)
        for path in ("/v1/a/c/m", "/v1/a/c/d"):
            got = await store("GET", path)
            assert (got.status, int(got.headers["content-length"])) == (200, 6 * PIECE)
            assert (segments["s-a"] + segments["s-b"])[: 3 * PIECE] == got.body
            middle = put_aside(tmp_path)[0].rename(middle)  # an operator puts it back
        flip(next(path for path in files(tmp_path) if path.read_bytes().startswith(segments["s-a"])), 5)
        assert (await store("GET", "/v1/a/c/m")).status == 503


async def test_a_copy_of_damaged_bytes_is_not_made(tmp_path):
    async with holding(tmp_path, os.urandom(SIZE)) as store:
        flip(files(tmp_path)[0], SIZE - 5)
        copied = await store("COPY", "/v1/a/c/o", headers={"destination": "c/other"})
        assert copied.status == 503
        assert (await store("GET", "/v1/a/c/other")).status == 404
        assert (await store("GET", "/v1/a/c")).lines == ["o"]
        await until(lambda: not leftovers(tmp_path / "devices"))  # lanes are closed aside


async def test_encrypted_bytes_that_rot_are_not_decrypted(tmp_path):
    data = os.urandom(SIZE)
    async with holding(tmp_path, data, middleware=on()) as store:
        flip(files(tmp_path)[0], 2 * PIECE + 1)
        got = await store("GET", "/v1/a/c/o", headers={"range": f"bytes=7-{SIZE}"})
        assert (got.status, got.body) == (206, data[7 : 2 * PIECE])
        assert len(put_aside(tmp_path)) == 1


async def test_what_was_written_meanwhile_is_not_put_aside(tmp_path):
    """The damaged file has lost its name by the time that it is found out."""
    made = Devices(tmp_path, 1)
    store = made.cluster.objects(0)
    await write_object(store, os.urandom(SIZE), 1)
    (path,) = files(tmp_path)
    flip(path, SIZE - 1)
    found = await store.find("a", "c", "o")
    await store.put("a", "c", "o", b"newer", facts(b"newer", 2))
    with pytest.raises(Damaged):
        [piece async for piece in found.stream(0, SIZE)]
    await found.close()
    assert await read_object(store) == b"newer"
    assert not put_aside(tmp_path)
    await made.close()


# Several copies


@pytest.mark.parametrize("middleware", [{}, on()], ids=["plain", "encrypted"])
@pytest.mark.parametrize("at", PLACES.values(), ids=PLACES)
async def test_two_damaged_copies_of_three_are_no_hindrance(tmp_path, at, middleware):
    data = random.Random(at).randbytes(SIZE)
    async with holding(tmp_path, data, devices=3, replicas=3, middleware=middleware) as store:
        paths = files(tmp_path)
        for path in paths[:2]:
            flip(path, at)
        for first in (0, 1000, SIZE - 10):
            got = await store("GET", "/v1/a/c/o", headers={"range": f"bytes={first}-"})
            assert (got.status, got.body == data[first:]) == (206, True)
        await store.room.cluster.close()
        assert {*files(tmp_path)} >= {*paths[2:]}


async def test_copies_that_are_all_damaged_make_one_between_them(tmp_path):
    """Each has lost another piece, and the reader goes from one to the next and back."""
    data = os.urandom(SIZE)
    async with holding(tmp_path, data, devices=2, replicas=2) as store:
        one, other = files(tmp_path)
        for number in range(5):
            flip(one if number % 2 else other, number * PIECE + 7)
        for first in (0, 5, 2 * PIECE, 0):
            got = await store("GET", "/v1/a/c/o", headers={"range": f"bytes={first}-"})
            assert (got.status, got.body == data[first:]) == (206, True)
        assert len(put_aside(tmp_path)) == 2


async def test_who_goes_on_elsewhere_goes_on_at_that_byte(tmp_path):
    data = os.urandom(SIZE)
    async with holding(tmp_path, data, devices=3, replicas=3) as store:
        for number, path in enumerate(files(tmp_path)[:2]):
            flip(path, (1 + 2 * number) * PIECE + 7)
        spans = f"bytes=3-{4 * PIECE},5-9"
        got = await store("GET", "/v1/a/c/o", headers={"range": spans})
        assert len(got.body) == int(got.headers["content-length"])
        assert data[3 : 4 * PIECE + 1] in got.body
        assert (await store("GET", "/v1/a/c/o")).body == data


async def test_what_is_damaged_in_all_copies_ends_the_answer(tmp_path):
    data = os.urandom(SIZE)
    async with holding(tmp_path, data, devices=3, replicas=3) as store:
        for path in files(tmp_path):
            flip(path, 3 * PIECE)
        got = await store("GET", "/v1/a/c/o")
        assert (got.status, got.body == data[: 3 * PIECE]) == (200, True)
        assert len(put_aside(tmp_path)) == 3
        got = await store("GET", "/v1/a/c/o", headers={"range": f"bytes={4 * PIECE}-"})
        assert got.body == data[4 * PIECE :]


async def test_fragments_that_rot_are_left_and_put_aside(tmp_path):
    data = os.urandom(4 * (1 << 20) + 99)
    async with holding(tmp_path, data, devices=5, **CODED) as store:
        paths = files(tmp_path)
        assert len(paths) == 5
        flip(paths[0], 20)
        flip(paths[1], paths[1].stat().st_size // 2)
        for first in (3 << 20, 0, 17):
            got = await store("GET", "/v1/a/c/o", headers={"range": f"bytes={first}-"})
            assert (got.status, got.body == data[first:]) == (206, True)
        await store.room.cluster.close()
        flip(files(tmp_path)[0], 20)
        got = await store("GET", "/v1/a/c/o")
        assert got.body == data[: len(got.body)]


async def test_too_few_sound_fragments_end_the_answer(tmp_path):
    data = os.urandom(4 << 20)
    async with holding(tmp_path, data, devices=5, **CODED) as store:
        for path in files(tmp_path)[:3]:
            flip(path, path.stat().st_size // 2)
        got = await store("GET", "/v1/a/c/o")
        assert (got.status, got.headers["content-length"]) == (200, str(len(data)))
        assert got.body == data[: len(got.body)]
        assert len(got.body) < len(data)


# What nobody else looks at


def test_a_small_object_of_which_no_md5_is_known_is_looked_at(tmp_path):
    objects = device_at(tmp_path)
    known = msgspec.structs.replace(facts(b"x" * 100, 1), etag="not an MD5")
    objects.put(1, "a" * 32, b"x" * 100, known)
    (path,) = files(tmp_path, 0)
    with path.open("rb") as file:
        assert read(file.fileno())[1] == b"x" * 100
    flip(path, 50)
    with pytest.raises(Damaged, match="not those that were written"):
        objects.find(1, "a" * 32)


def test_sums_do_not_depend_on_how_bytes_came():
    data = random.Random(1).randbytes(3 * PIECE + 5)
    whole = Sums()
    whole.update(data)
    expected = whole.all()
    assert len(expected) == length_of_sums(len(data)) == 32
    assert is_piece(data[PIECE : 2 * PIECE], expected[8:16])
    for portion in (1000, PIECE, PIECE + 1, 4 * PIECE):
        sums = Sums()
        for start in range(0, len(data), portion):
            sums.update(data[start : start + portion])
        assert sums.all() == expected
    assert Sums().all() == b""
    assert length_of_sums(0) == 0


def test_who_reads_beyond_the_end_gets_nothing(tmp_path):
    objects = device_at(tmp_path)
    data = os.urandom(PIECE + 10)
    objects.put(1, "a" * 32, data, facts(data, 1))
    with objects.find(1, "a" * 32) as found:
        assert found.read(PIECE + 9, PIECE + 500) == data[-1:]
        assert found.read(PIECE + 10, PIECE + 500) == b""
