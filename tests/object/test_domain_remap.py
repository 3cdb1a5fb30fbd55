"""Accounts and containers named by the host."""

from pathlib import Path
from typing import Any

import pytest

from aerostat.services.object.middleware.domain_remap import _as_asked

from .kit import opened


def on(**options: Any) -> dict[str, Any]:
    return {"domain_remap": {"enabled": True, "storage_domain": "example.com,.other.test", **options}}


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("c.AUTH-a.example.com", "/o", 200),
        ("c.auth-a.example.com:8080", "/o", 200),
        ("c.auth_a.other.test", "/o", 200),
        ("AUTH-a.example.com", "/c/o", 200),
        ("auth-a.example.com", "/c", 200),
        ("c.auth-a.example.com", "/", 200),
        ("c.auth-a.example.com", "/none", 404),
        ("x.c.auth-a.example.com", "/o", 400),
        ("c.a.example.com", "/v1/AUTH_a/c/o", 200),
        ("elsewhere.test", "/v1/AUTH_a/c/o", 200),
    ],
)
async def test_hosts(tmp_path: Path, host: str, path: str, status: int) -> None:
    async with opened(tmp_path, middleware=on()) as store:
        await store.put("/v1/AUTH_a/c")
        await store.put("/v1/AUTH_a/c/o", b"bytes")
        assert (await store("GET", path, headers={"host": host})).status == status


async def test_accounts_without_a_prefix_and_roots_given_twice(tmp_path: Path) -> None:
    async with opened(
        tmp_path, middleware=on(default_reseller_prefix="AUTH", mangle_client_paths=True)
    ) as store:
        await store.put("/v1/AUTH_a/c")
        await store.put("/v1/AUTH_a/c/o", b"bytes")
        for host, path in (("c.a.example.com", "/o"), ("c.auth-a.example.com", "/v1/o")):
            assert (await store("GET", path, headers={"host": host})).body == b"bytes"


@pytest.mark.parametrize(
    ("location", "as_asked"),
    [
        ("http://h/v1/AUTH_a/c/d/", "http://h/d/"),
        ("/v1/AUTH_a/c/d/?x=1", "/d/?x=1"),
        ("http://h/elsewhere", "http://h/elsewhere"),
    ],
)
def test_redirections_are_told_in_the_clients_terms(location: str, as_asked: str) -> None:
    assert _as_asked(location, "/v1/AUTH_a/c/d", "/d") == as_asked
