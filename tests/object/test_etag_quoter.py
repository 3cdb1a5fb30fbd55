"""ETags in quotes, where they are asked for."""

from pathlib import Path

from .kit import opened


async def test_a_container_asks_for_quotes(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put("/v1/A/plain")
        await store.put("/v1/A/quoted", x_container_rfc_compliant_etags="yes")
        assert (await store("HEAD", "/v1/A/quoted")).headers["x-container-rfc-compliant-etags"] == "true"
        for container, quote in (("plain", ""), ("quoted", '"')):
            put = await store.put(f"/v1/A/{container}/o", b"bytes")
            etag = put.headers["etag"]
            assert etag.startswith('"') == bool(quote)
            got = await store("GET", f"/v1/A/{container}/o")
            assert got.headers["etag"] == etag
            again = await store("GET", f"/v1/A/{container}/o", headers={"if-none-match": etag})
            assert again.status == 304
            assert again.headers["etag"] == etag


async def test_the_containers_word_is_stronger_than_the_accounts(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for container in ("c", "off"):
            await store.put(f"/v1/A/{container}")
            await store.put(f"/v1/A/{container}/o", b"bytes")
        assert (await store("POST", "/v1/A", headers={"x-account-rfc-compliant-etags": "1"})).status == 204
        assert (await store("HEAD", "/v1/A")).headers["x-account-rfc-compliant-etags"] == "true"
        await store("POST", "/v1/A/off", headers={"x-container-rfc-compliant-etags": "false"})
        assert (await store("HEAD", "/v1/A/c/o")).headers["etag"].startswith('"')
        assert not (await store("HEAD", "/v1/A/off/o")).headers["etag"].startswith('"')
        await store("POST", "/v1/A/off", headers={"x-remove-container-rfc-compliant-etags": "x"})
        assert (await store("HEAD", "/v1/A/off/o")).headers["etag"].startswith('"')
