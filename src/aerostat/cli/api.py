"""A small client of a cloud's own API, for the commands that ask it something.

With OS_* in the environment it speaks as that user, else as the administrator of the state folder's cloud.
"""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx

from aerostat.cli import CommandError
from aerostat.cli.env import variables
from aerostat.kernel.config import Config

# What the environment may leave out: as clients take it then. Our own passwords are not needed for it, nor readable
# for everybody.
UNSAID = {
    "OS_USERNAME": "admin",
    "OS_PROJECT_NAME": "admin",
    "OS_USER_DOMAIN_NAME": "Default",
    "OS_PROJECT_DOMAIN_NAME": "Default",
}


class ApiFailed(CommandError):
    """The API is not there, or refused. `status` is that of HTTP, 0 if nobody answered; `words` are the API's own."""

    def __init__(self, message: str, *, status: int = 0, words: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.words = words or message

    @property
    def is_passing(self) -> bool:
        """Whether the same may be answered later: nobody was there, or somebody who could not."""
        return self.status == 0 or self.status in (429, 502, 503, 504)


class Api:
    """A signed-in session: `with Api.as_admin(config) as api: api.get("compute", "/servers")`.

    The first word is a type of service from the catalog, or empty: paths then start at the cloud's own base address.
    """

    def __init__(self, values: Mapping[str, str], timeout_s: float = 30.0) -> None:
        self._values = values
        self._base_url = values["OS_AUTH_URL"].split("/identity")[0].rstrip("/")
        self._endpoints: dict[str, str] = {"": self._base_url}
        self._http = httpx.Client(timeout=timeout_s, trust_env=False)

    @classmethod
    def as_admin(cls, config: Config, timeout_s: float = 30.0) -> "Api":
        return cls(variables(config), timeout_s)

    @classmethod
    def as_user(cls, config: Config) -> "Api":
        """The user whom the environment names, if it names one of this cloud; else the administrator."""
        url = os.environ.get("OS_AUTH_URL", "")
        if url.startswith(config.kernel.public_url) and os.environ.get("OS_PASSWORD"):
            return cls({**UNSAID, **{k: v for k, v in os.environ.items() if k.startswith("OS_")}})
        return cls.as_admin(config)

    def __enter__(self) -> "Api":
        self._sign_in()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    @property
    def user_name(self) -> str:
        return self._values["OS_USERNAME"]

    def get(self, service: str, path: str, *, version: str = "") -> Any:
        """The decoded body of an answer; raises `ApiFailed` with the API's own message."""
        return self._call("GET", service, path, version=version).json()

    def put(self, service: str, path: str, body: Any, *, version: str = "") -> None:
        self._call("PUT", service, path, version=version, json=body)

    def post(self, service: str, path: str, body: Any, *, version: str = "") -> None:
        self._call("POST", service, path, version=version, json=body)

    def delete(
        self, service: str, path: str, *, version: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        self._call("DELETE", service, path, version=version, headers=headers)

    def _call(
        self,
        method: str,
        service: str,
        path: str,
        *,
        version: str,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """`version` is the microversion that is asked for."""
        if service not in self._endpoints:
            raise ApiFailed(f"this cloud has no {service} service")
        asked = {"OpenStack-API-Version": f"{service} {version}"} if version else {}
        url, headers = self._endpoints[service] + path, {**asked, **(headers or {})}
        try:
            return self._send(method, url, headers=headers, **more)
        except ApiFailed as error:
            if error.status != 401:
                raise
        self._sign_in()  # the token has ended: some commands take long
        return self._send(method, url, headers=headers, **more)

    def _sign_in(self) -> None:
        values = self._values
        user = {
            "name": values["OS_USERNAME"],
            "domain": {"name": values["OS_USER_DOMAIN_NAME"]},
            "password": values["OS_PASSWORD"],
        }
        project = {
            "name": values["OS_PROJECT_NAME"],
            "domain": {"name": values["OS_PROJECT_DOMAIN_NAME"]},
        }
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": {"project": project}}}
        answer = self._send("POST", f"{self._base_url}/identity/v3/auth/tokens", json=body)
        self._http.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]
        for service in answer.json()["token"]["catalog"]:
            public = [one["url"] for one in service["endpoints"] if one["interface"] == "public"]
            if public:
                self._endpoints[service["type"]] = public[0].rstrip("/")

    def _send(self, method: str, url: str, **more: Any) -> httpx.Response:
        try:
            response = self._http.request(method, url, **more)
        except httpx.HTTPError as error:
            raise ApiFailed(f"{self._base_url} does not answer ({error}); is the cloud up?") from None
        if response.is_error:
            words = _message(response)
            message = f"{method} {httpx.URL(url).path}: {response.status_code} {words}"
            raise ApiFailed(message, status=response.status_code, words=words)
        return response


def _message(response: httpx.Response) -> str:
    """The sentence in an error body, whichever room's envelope it is in."""
    try:
        body = response.json()
    except ValueError:
        return response.text[:300]
    for value in [body, *body.values()] if isinstance(body, dict) else []:
        if isinstance(value, dict) and isinstance(value.get("message"), str):
            return str(value["message"])
    return response.text[:300]
