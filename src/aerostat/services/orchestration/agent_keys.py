"""Keys with which a server's agent signs what it asks: an access key that names its resource, and a secret."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

from aerostat.kernel.db import Row

_HASHES = {"HmacSHA1": hashlib.sha1, "HmacSHA256": hashlib.sha256}


def access_key(row: Row) -> str:
    """The access key of a resource: its id, in the form that such keys have."""
    return str(row.id).replace("-", "")


def row_id(access_key: str) -> str:
    """The id of the resource that an access key names."""
    parts = (access_key[:8], access_key[8:12], access_key[12:16], access_key[16:20], access_key[20:])
    return "-".join(parts)


def signature(secret: str, verb: str, host: str, path: str, params: Mapping[str, str]) -> str:
    """A signature of EC2's version 2 over the parameters, sorted and quoted; in base64."""
    pairs = "&".join(
        f"{quote(name, safe='-_.~')}={quote(params[name], safe='-_.~')}" for name in sorted(params)
    )
    text = f"{verb}\n{host.lower()}\n{path}\n{pairs}"
    algorithm = _HASHES.get(params.get("SignatureMethod", "HmacSHA256"), hashlib.sha256)
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), algorithm).digest()).decode()
