"""A page of a long list costs what a page of a short one does: the database walks an index and stops."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from aerostat.kernel.db.store import Transaction

from .conftest import Client


@pytest.mark.parametrize(
    ("path", "sorts"),
    [
        ("users?limit=2", False),
        ("users?limit=2&domain_id=default", False),
        ("users?limit=2&enabled=true", False),
        ("users?name=nobody", True),  # what has the name is few
        ("projects?limit=2", False),
        ("projects?limit=2&domain_id=default", False),
        ("projects?name=nothing", True),
        ("groups?limit=2", False),
        ("groups?limit=2&domain_id=default", False),
        ("domains?limit=2", False),
    ],
)
async def test_a_page_is_read_along_an_index(
    admin: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, sorts: bool
) -> None:
    kind = path.split("?")[0]
    marker = (await admin.get(f"/v3/{kind}")).json()[kind]
    if "limit" in path and marker:
        path += f"&marker={marker[0]['id']}"
    seen: list[tuple[str, list[Any]]] = []
    fetch = Transaction.fetch

    async def noting(self: Transaction, clause: Any, parameters: Any = None) -> Any:
        sql, arguments, _ = self._store.prepared(clause, parameters)
        seen.append((sql, arguments))
        return await fetch(self, clause, parameters)

    monkeypatch.setattr(Transaction, "fetch", noting)
    assert (await admin.get(f"/v3/{path}")).status_code == 200
    sql, arguments = seen[-1]
    assert f"identity_{'projects' if kind == 'domains' else kind}" in sql
    database = sqlite3.connect(tmp_path / "identity.sqlite")
    plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", arguments)]
    database.close()
    assert all("USING INDEX" in step for step in plan if step.startswith(("SCAN", "SEARCH"))), plan
    if sorts:
        assert "name=?" in plan[0]
    else:
        assert not any("TEMP B-TREE" in step for step in plan), plan
