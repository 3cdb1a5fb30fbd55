"""Files of SQLite that several processes open for the first time at once."""

import multiprocessing
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from aerostat.kernel.sqlite_file import write_ahead

FILES, PROCESSES = 40, 4


def _open_all(folder: Path, barrier: Any, told: Any) -> None:
    for number in range(FILES):
        barrier.wait(timeout=60)
        connection = sqlite3.connect(folder / str(number), timeout=10, isolation_level=None)
        try:
            write_ahead(connection, 10)
            connection.execute("CREATE TABLE IF NOT EXISTS t (a)")
        except sqlite3.OperationalError as error:
            told.put(str(error))
        finally:
            connection.close()
    told.put("")


def test_whoever_opens_it_first_is_not_told_that_it_is_locked(tmp_path: Path) -> None:
    """A host of a fake cloud did not start: another one opened the file of the network in the same moment."""
    context = multiprocessing.get_context("fork")
    barrier, told = context.Barrier(PROCESSES), context.Queue()
    processes = [context.Process(target=_open_all, args=(tmp_path, barrier, told)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    assert [told.get(timeout=120) for _ in processes] == [""] * PROCESSES
    for process in processes:
        process.join(60)


def test_what_is_not_a_lock_is_raised_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"not a database" * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        write_ahead(sqlite3.connect(tmp_path / "file"), 60)


def test_who_holds_it_for_good_is_named_as_a_lock(tmp_path: Path) -> None:
    holder = sqlite3.connect(tmp_path / "file", isolation_level=None)
    holder.execute("CREATE TABLE t (a)")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        write_ahead(sqlite3.connect(tmp_path / "file", timeout=0), 0.05)
    holder.close()
