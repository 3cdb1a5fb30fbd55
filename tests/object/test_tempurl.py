"""Temporary URLs: what a signature opens, and what it does not."""

import base64
import hmac
import time
from urllib.parse import quote, urlencode

import pytest

from .kit import opened
from .test_tempauth import as_user, settings

UNTIL = str(int(time.time()) + 86_400)  # the whole ring takes its time
PATH = "/v1/AUTH_test/c/a/o"


@pytest.fixture
async def store(tmp_path):
    async with opened(tmp_path, **settings()) as store:
        tester = await as_user(store, "test:tester")
        await tester("POST", "/v1/AUTH_test", headers={"x-account-meta-temp-url-key": "k1"})
        await tester.put("/v1/AUTH_test/c", X_Container_Meta_Temp_URL_Key_2="k2")
        await tester.put("/v1/AUTH_test/d")
        await tester.put(PATH, b"0123456789", X_Object_Meta_Secret="s", X_Object_Meta_Public_A="a")
        yield store


def sign(method="GET", path=PATH, until=UNTIL, key="k1", digest="sha256", ip=None):
    text = f"{f'ip={ip}' + chr(10) if ip else ''}{method}\n{until}\n{path}"
    return hmac.new(key.encode(), text.encode(), digest)


def query(signature=None, **more):
    signed = signature if isinstance(signature, str) else (signature or sign()).hexdigest()
    return urlencode({"temp_url_sig": signed, "temp_url_expires": UNTIL, **more})


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("key", ["k1", "k2"])
async def test_a_signature_opens_one_object_for_one_method(store, digest, key):
    signed = query(sign(key=key, digest=digest))
    answer = await store("GET", PATH, query=signed)
    assert (answer.status, answer.body) == (200, b"0123456789")
    assert answer.headers["content-disposition"] == "attachment; filename=\"o\"; filename*=UTF-8''o"
    assert answer.headers["expires"].endswith("GMT")
    assert "x-object-meta-secret" not in answer.headers
    assert answer.headers["x-object-meta-public-a"] == "a"
    assert (await store("HEAD", PATH, query=signed)).status == 200
    for method, path in (
        ("PUT", PATH),
        ("DELETE", PATH),
        ("GET", "/v1/AUTH_test/c/b"),
        ("GET", "/v1/AUTH_test/c"),
    ):
        refused = await store(method, path, query=signed)
        assert (refused.status, refused.text) == (401, "401 Unauthorized: Temp URL invalid\n"), (method, path)
        assert refused.headers["www-authenticate"] == 'Swift realm="AUTH_test"'


async def test_ranges_and_other_forms_of_signature_and_time(store):
    ranged = await store("GET", PATH, headers={"range": "bytes=2-4"}, query=query())
    assert (ranged.status, ranged.body) == (206, b"234")
    raw = sign().digest()
    for written in (base64.b64encode(raw), base64.urlsafe_b64encode(raw), base64.b64encode(raw).rstrip(b"=")):
        assert (await store("GET", PATH, query=query(f"sha256:{written.decode()}"))).status == 200
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(UNTIL)))
    assert (await store("GET", PATH, query=query(temp_url_expires=date))).status == 200


async def test_what_is_not_signed_or_over_is_refused(store):
    past = str(int(time.time()) - 1)
    for bad in (
        query(sign(key="other")),
        query(sign(until=past), temp_url_expires=past),
        query(temp_url_expires="soon"),
        query(temp_url_expires=str(int(UNTIL) + 1)),
        query("md5:AAAA"),
        query("zz"),
        query(""),
        f"temp_url_sig={sign().hexdigest()}",
        f"temp_url_expires={UNTIL}",
    ):
        assert (await store("GET", PATH, query=bad)).status == 401, bad


async def test_a_prefix_opens_what_is_below_it(store):
    signed = query(sign(path="prefix:/v1/AUTH_test/c/a/"), temp_url_prefix="a/")
    assert (await store("GET", PATH, query=signed)).status == 200
    assert (await store("GET", "/v1/AUTH_test/c/b", query=signed)).status == 401
    whole = query(sign(path="prefix:/v1/AUTH_test/c/"), temp_url_prefix="")
    assert (await store("GET", PATH, query=whole)).status == 200
    assert (await store("GET", "/v1/AUTH_test/c", query=whole)).status == 401


async def test_addresses(store):
    for ip, status in (("127.0.0.1", 200), ("127.0.0.0/24", 200), ("10.0.0.0/8", 401), ("nowhere", 401)):
        assert (await store("GET", PATH, query=query(sign(ip=ip), temp_url_ip_range=ip))).status == status
    assert (await store("GET", PATH, query=query(sign(ip="127.0.0.1")))).status == 401


async def test_file_names(store):
    answer = await store("GET", PATH, query=query(filename='a "é"\n.txt'))
    expected = "attachment; filename=\"a %22%C3%A9%22%0A.txt\"; filename*=UTF-8''a%20%22%C3%A9%22%0A.txt"
    assert answer.headers["content-disposition"] == expected
    assert (await store("GET", PATH, query=query(inline=""))).headers["content-disposition"] == "inline"
    both = await store("GET", PATH, query=query(inline="", filename="x"))
    assert both.headers["content-disposition"] == "inline; filename=\"x\"; filename*=UTF-8''x"
    tester = await as_user(store, "test:tester")
    await tester.put(PATH, b"x", Content_Disposition="inline; mine")
    assert (await store("GET", PATH, query=query())).headers["content-disposition"] == "inline; mine"


async def test_writing(store):
    signed = query(sign("PUT"))
    assert (await store("PUT", PATH, b"new", query=signed)).status == 201
    for name in ("x-object-manifest", "x-symlink-target", "x-copy-from"):
        pointing = await store("PUT", PATH, b"", {name: "d/secret"}, query=signed)
        assert (pointing.status, pointing.text) == (
            400,
            f"The header '{name.title()}' is not allowed in this tempurl",
        )
    assert (await store("GET", PATH, query=query())).body == b"new"
    assert (await store("POST", PATH, query=query(sign("POST")))).status == 202
    assert (await store("DELETE", PATH, query=query(sign("DELETE")))).status == 204
    assert (await store("GET", PATH, query=query())).status == 404


async def test_a_containers_key_opens_no_other_container(store):
    tester = await as_user(store, "test:tester")
    await tester.put("/v1/AUTH_test/d/seg1", b"abc")
    await tester.put(PATH, b"", X_Object_Manifest="d/seg")
    assert (await store("GET", PATH, query=query(sign(key="k1")))).body == b"abc"
    assert (await store("GET", PATH, query=query(sign(key="k2")))).status in (401, 409)


async def test_names_of_all_kinds(store):
    tester = await as_user(store, "test:tester")
    for name in ("ü\nx", "a?b&c", "%41", "//"):
        path = f"/v1/AUTH_test/c/{name}"
        await tester.put(path, b"x")
        answer = await store("GET", path, query=query(sign(path=path)), raw_path=quote(path).encode())
        assert answer.status == (200 if name.strip("/") else 401), name
