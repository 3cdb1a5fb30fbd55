"""Signatures of EC2 and S3 requests, checked with the secret of the access key that they name.

Versions 1 and 2 of EC2's query signatures, and version 4, as the AWS documentation describes them:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from aerostat.kernel.errors import Unauthorized

_ALGORITHM = "AWS4-HMAC-SHA256"


def is_signed(secret: str, asked: Mapping[str, Any]) -> bool:
    """Whether `asked` (signature, params, headers, verb, host, path, body_hash) was signed with `secret`."""
    params = {str(key): str(value) for key, value in (asked.get("params") or {}).items()}
    headers = {str(key).lower(): str(value) for key, value in (asked.get("headers") or {}).items()}
    given = str(asked.get("signature") or "")
    if params.get("X-Amz-Algorithm") == _ALGORITHM or headers.get("authorization", "").startswith(_ALGORITHM):
        return _same(given, _version_4(secret, asked, params, headers))
    if params.get("SignatureVersion") == "2":
        hosts = [str(asked.get("host", ""))]
        if ":" in hosts[0]:  # some clients leave the port out
            hosts.append(hosts[0].split(":")[0])
        return any(_same(given, _version_2(secret, asked, params, host)) for host in hosts)
    if params.get("SignatureVersion") == "1":
        return _same(given, _version_1(secret, params))
    raise Unauthorized("Unknown signature version.")


def is_signed_text(secret: str, text: bytes, signature: str) -> bool:
    """S3's older form: the base64 of an HMAC-SHA1 over the string that was signed."""
    return _same(signature, _b64(hmac.new(secret.encode(), text, hashlib.sha1).digest()))


def is_signed_v4_text(secret: str, text: bytes, signature: str) -> bool:
    """S3's form today: the string to sign of version 4, whose third line carries the scope."""
    lines = text.decode("utf-8", "replace").split("\n")
    parts = lines[2].split("/") if len(lines) > 2 else []
    if len(parts) != 4:
        return False
    return _same(signature, hmac.new(_key_4(secret, *parts[:3]), text, hashlib.sha256).hexdigest())


def _version_1(secret: str, params: Mapping[str, str]) -> str:
    mac = hmac.new(secret.encode(), digestmod=hashlib.sha1)
    for name in sorted((name for name in params if name != "Signature"), key=str.lower):
        mac.update(name.encode())
        mac.update(params[name].encode())
    return _b64(mac.digest())


def _version_2(secret: str, asked: Mapping[str, Any], params: Mapping[str, str], host: str) -> str:
    digest = hashlib.sha256 if params.get("SignatureMethod") == "HmacSHA256" else hashlib.sha1
    pairs = [(name, value) for name, value in params.items() if name != "Signature"]
    text = "\n".join([str(asked.get("verb", "")), host, str(asked.get("path", "")), _query(pairs)])
    return _b64(hmac.new(secret.encode(), text.encode(), digest).digest())


def _version_4(
    secret: str, asked: Mapping[str, Any], params: Mapping[str, str], headers: Mapping[str, str]
) -> str:
    fields = dict(params)
    if "X-Amz-Algorithm" not in params:
        for part in headers["authorization"].removeprefix(_ALGORITHM).split(","):
            name, _, value = part.strip().partition("=")
            fields[f"X-Amz-{name}"] = value
    scope = fields.get("X-Amz-Credential", "").split("/")
    if len(scope) != 5:
        raise Unauthorized("The credential of the signature is malformed.")
    signed_headers = fields.get("X-Amz-SignedHeaders", "")
    moment = fields.get("X-Amz-Date") or headers.get("x-amz-date", "")
    by_query = "X-Amz-Algorithm" in params
    pairs = [pair for pair in params.items() if pair[0] != "X-Amz-Signature"]
    verb = str(asked.get("verb", ""))
    canonical = "\n".join(
        [
            verb,
            str(asked.get("path", "")),
            _query(pairs) if by_query or verb == "GET" else "",
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed_headers.split(";")),
            "",
            signed_headers,
            str(asked.get("body_hash", "")),
        ]
    )
    text = "\n".join(
        [_ALGORITHM, moment, "/".join(scope[1:]), hashlib.sha256(canonical.encode()).hexdigest()]
    )
    return hmac.new(_key_4(secret, *scope[1:4]), text.encode(), hashlib.sha256).hexdigest()


def _key_4(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _query(pairs: list[tuple[str, str]]) -> str:
    return "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(pairs)
    )


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
