"""`python -m bench.people`: what identity costs: log-ins by hash, tokens, and lists of 10, 1,000 and 100,000.

Users and projects come from a file, as `aerostat identity import` takes it. A page's cost must not grow with the table.
"""

import argparse
import asyncio
import hashlib
import math
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from aerostat.kernel.config import load
from aerostat.kernel.db import Seal, open_store
from aerostat.kernel.state_folder import StateFolder
from aerostat.services.identity.transfer import Document, Project, User
from aerostat.services.identity.transfer_in import take_in

from .cases import Case, Once, token_issue, token_validate
from .cloud import Api, FakeCloud
from .measure import measured

PAGE = 100
SIZES = (10, 1_000, 100_000)
MIDDLE = "in the middle"
CHEAP = "bcrypt at its cheapest (0.9 ms)"


def application_credential(api: Api) -> Once:
    """A program that logs in again and again."""
    user_id = _own_id(api)
    path = f"/identity/v3/users/{user_id}/application_credentials"
    made = api.call("POST", path, {"application_credential": {"name": f"bench {os.urandom(4).hex()}"}})
    key = {name: made["application_credential"][name] for name in ("id", "secret")}
    identity = {"methods": ["application_credential"], "application_credential": key}
    return lambda: api.call("POST", "/identity/v3/auth/tokens", {"auth": {"identity": identity}})


def wrong_password(api: Api) -> Once:
    """Of somebody who is not there."""
    user = {"name": "nobody", "domain": {"id": "default"}, "password": "x"}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    return lambda: api.send("POST", "/identity/v3/auth/tokens", body)


def revoked_and_validated(api: Api) -> Once:
    """A token made, revoked, and refused."""

    def once() -> None:
        keep = api.token
        gone = api.sign_in()
        api.token = keep
        api.call("DELETE", "/identity/v3/auth/tokens", X_Subject_Token=gone)
        assert api.send("GET", "/identity/v3/auth/tokens", X_Subject_Token=gone)[0] == 404

    return once


def first_page(kind: str) -> Case:
    def prepare(api: Api) -> Once:
        return lambda: api.call("GET", f"/identity/v3/{kind}?limit={PAGE}")

    return Case(f"{kind}: first page of {PAGE}", 3, "–", 200, prepare)


def middle_page(kind: str) -> Case:
    def prepare(api: Api) -> Once:
        marker = api.call("GET", f"/identity/v3/{kind}?name={quote(MIDDLE)}")[kind][0]["id"]
        path = f"/identity/v3/{kind}?limit={PAGE}&domain_id=default&marker={marker}"
        return lambda: api.call("GET", path)

    return Case(f"{kind}: a page of {PAGE} in the middle, of one domain", 3, "–", 200, prepare)


def by_name(kind: str) -> Case:
    def prepare(api: Api) -> Once:
        return lambda: api.call("GET", f"/identity/v3/{kind}?name={quote(MIDDLE)}")

    return Case(f"{kind}: one by its name", 1, "–", 200, prepare)


def whole(kind: str) -> Case:
    def prepare(api: Api) -> Once:
        return lambda: api.call("GET", f"/identity/v3/{kind}")

    return Case(f"{kind}: all at once", 5000, "–", 3, prepare)


LOG_INS = (
    Case(f"token issue, {CHEAP}", 2.9, "326–348 with bcrypt", 200, token_issue),
    Case(f"token refused to nobody, {CHEAP}", 2.9, "–", 200, wrong_password),
    Case("token issue, application credential again", 2, "–", 200, application_credential),
    Case("token validate", 0.4, "12–14", 1000, token_validate),
    Case("token issued, revoked and refused", 6, "–", 100, revoked_and_validated),
)
KINDS = ("users", "projects")
LISTS = tuple(make(kind) for kind in KINDS for make in (first_page, middle_page, by_name, whole))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.people", description=__doc__)
    parser.add_argument("--bcrypt-rounds", type=int, default=4, help="the cost of a password (4)")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="how many rows")
    args = parser.parse_args()
    os.environ["AEROSTAT_IDENTITY_BCRYPT_ROUNDS"] = str(args.bcrypt_rounds)
    with tempfile.TemporaryDirectory(prefix="aerostat-bench-") as folder:
        state = Path(folder) / "state"
        with FakeCloud(state) as cloud:
            if args.bcrypt_rounds != 4:
                name = f"token issue, bcrypt with {args.bcrypt_rounds} rounds"
                _table(cloud, [LOG_INS[0]._replace(name=name, budget_ms=math.inf, count=20)], "log-in")
                return
            _table(cloud, LOG_INS, "log-ins")
            for size in args.sizes:
                asyncio.run(_fill(state, size))
                cloud.api.sign_in()
                _table(cloud, LISTS, f"{size:,} users and projects")


def _table(cloud: FakeCloud, cases: Iterable[Case], title: str) -> None:
    print(
        f"\n| {title} | n | CPU ms | wall ms | budget, CPU ms | peer, CPU ms |\n|---|---:|---:|---:|---:|---:|"
    )
    for case in cases:
        print(measured(cloud, case, case.count), flush=True)


async def _fill(state: Path, size: int) -> None:
    """So many users and projects in all, with ids all over the table."""
    config = load(StateFolder(state), {}, fake=True)
    store = await open_store(config.kernel.database_url, Seal(config.folder.secrets().sealing_key))
    names = [f"row {number}" for number in range(size - 1)]
    users = [User(id=_id("u", name), name=name, domain="default") for name in names]
    projects = [Project(id=_id("p", name), name=name, domain="default") for name in names]
    users.append(User(id="8" * 32, name=MIDDLE, domain="default"))
    projects.append(Project(id="8" * 31 + "0", name=MIDDLE, domain="default"))
    try:
        await take_in(store, Document(version=1, users=users, projects=projects))
    finally:
        await store.close()


def _id(kind: str, name: str) -> str:
    return hashlib.md5(f"{kind} {name}".encode(), usedforsecurity=False).hexdigest()


def _own_id(api: Api) -> str:
    token = api.call("GET", "/identity/v3/auth/tokens", X_Subject_Token=api.token or "")
    return str(token["token"]["user"]["id"])


if __name__ == "__main__":
    sys.exit(main())
