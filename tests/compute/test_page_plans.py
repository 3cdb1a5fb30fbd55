"""A page of servers is a look into an index, wherever in a large cloud it begins."""

import contextlib
import sqlite3
from datetime import datetime

import pytest
from sqlalchemy import and_, select
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import ColumnElement

from aerostat.kernel.http.paging import COMPUTE, Order, after
from aerostat.services.compute.model import SERVERS

LIVING = SERVERS.c.state != "deleted"
OWN = SERVERS.c.project_id == "p"


@pytest.mark.parametrize(
    ("conditions", "index"),
    [([OWN, LIVING], "compute_servers_project (project_id=? AND created_at<?)"),
     ([LIVING], "compute_servers_created (created_at<?)")],
)  # fmt: skip
def test_a_page_begins_at_its_marker(conditions: list[ColumnElement[bool]], index: str) -> None:
    marker = {"created_at": datetime(2026, 1, 2), "id": "x"}
    order: tuple[Order, ...] = COMPUTE.default_order
    page = select(SERVERS).where(and_(*conditions, after(SERVERS, order, marker)))
    page = page.order_by(*(SERVERS.c[part.column].desc() for part in order)).limit(101)
    sql = page.compile(dialect=dialect(), compile_kwargs={"literal_binds": True})
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute(str(CreateTable(SERVERS).compile(dialect=dialect())))
        for one in SERVERS.indexes:
            database.execute(str(CreateIndex(one).compile(dialect=dialect())))
        steps = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert steps[0] == f"SEARCH compute_servers USING INDEX {index}"
    assert "USE TEMP B-TREE FOR ORDER BY" not in steps  # of part of it: among those of one moment
