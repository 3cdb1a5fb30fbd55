"""Pages of other sites: which may use the store from a browser, and what their scripts may see."""

from pathlib import Path

import pytest

from .kit import Store, opened

SITE, OTHER = "https://site.example", "https://other.example"
LETS = "x-container-meta-access-control-"


async def container(store: Store, **meta: str) -> None:
    """One that lets `SITE` in, unless told otherwise."""
    said = {"allow-origin": SITE, **{name.replace("_", "-"): value for name, value in meta.items()}}
    headers = {LETS + name: value for name, value in said.items()}
    assert (await store("PUT", "/v1/A/c", headers=headers)).status in (201, 202)
    await store.put("/v1/A/c/o", b"bytes", x_object_meta_color="blue")


async def test_a_browser_may_ask_first(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await container(store, max_age="60")
        asked = {
            "origin": SITE,
            "access-control-request-method": "PUT",
            "access-control-request-headers": "x-a",
        }
        answer = await store("OPTIONS", "/v1/A/c/o", headers=asked)
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == SITE
        assert "PUT" in answer.headers["access-control-allow-methods"]
        assert answer.headers["access-control-allow-headers"] == "x-a"
        assert answer.headers["access-control-max-age"] == "60"
        assert answer.headers["vary"] == "Origin, Access-Control-Request-Headers"


@pytest.mark.parametrize(
    "asked",
    [
        {"origin": OTHER, "access-control-request-method": "GET"},
        {"origin": SITE, "access-control-request-method": "PATCH"},
        {"origin": SITE},
    ],
)
async def test_a_browser_is_refused(tmp_path: Path, asked: dict[str, str]) -> None:
    async with opened(tmp_path) as store:
        await container(store)
        assert (await store("OPTIONS", "/v1/A/c/o", headers=asked)).status == 401


async def test_scripts_of_a_site_that_may_see_what_they_may_see(tmp_path: Path) -> None:
    async with opened(tmp_path, cors_expose_headers=["X-Everywhere"]) as store:
        await container(store, expose_headers="X-Here")
        answer = await store("GET", "/v1/A/c/o", headers={"origin": SITE})
        assert answer.headers["access-control-allow-origin"] == SITE
        assert answer.headers["vary"] == "Origin"
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert {"etag", "x-object-meta-color", "x-everywhere", "x-here"} <= set(exposed)
        other = await store("GET", "/v1/A/c/o", headers={"origin": OTHER})
        assert (other.status, "access-control-allow-origin" in other.headers) == (200, False)


async def test_a_container_for_everybody_and_sites_for_every_container(tmp_path: Path) -> None:
    async with opened(tmp_path, cors_allow_origin=[OTHER]) as store:
        await container(store)
        answer = await store("GET", "/v1/A/c/o", headers={"origin": OTHER})
        assert answer.headers["access-control-allow-origin"] == OTHER
        await container(store, allow_origin="*")
        answer = await store("GET", "/v1/A/c/o", headers={"origin": "https://third.example"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "vary" not in answer.headers


async def test_without_the_strict_mode_browsers_decide(tmp_path: Path) -> None:
    async with opened(tmp_path, strict_cors_mode=False) as store:
        await container(store)
        answer = await store("GET", "/v1/A/c/o", headers={"origin": OTHER})
        assert answer.headers["access-control-allow-origin"] == OTHER
