"""A SQLite file that is written ahead, also when several processes open it for the first time at once.

https://www.sqlite.org/wal.html
"""

import sqlite3

ATTEMPTS = 100


def write_ahead(connection: sqlite3.Connection, within_s: float) -> None:
    """Set the journal mode. Two that change it at once are told "locked" right away, whatever the busy timeout: each
    reads the file and would wait for the other to stop. So a turn of writing is waited for, and it is tried again.
    Raises sqlite3.OperationalError when somebody holds the file for `within_s`. Leaves the busy timeout at that.
    """
    connection.execute(f"PRAGMA busy_timeout = {round(within_s * 1000)}")
    for _ in range(ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        else:
            return
    raise sqlite3.OperationalError(f"database is locked: {ATTEMPTS} others were faster")
