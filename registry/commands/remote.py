"""The admin API of a server, asked over HTTP."""

import getpass
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote, urlsplit

import aiohttp
import orjson
from yarl import URL

from auth.bootstrap import ROOT_USER
from registry.admin.operation import ROOT, AnyOperation
from registry.commands.api import Refused, query_text

_SECONDS: Final = 60
_DONE: Final = range(200, 300)
_UNAUTHORIZED: Final = 401


class RemoteApi:
    """Operations of the server at a URL."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def call(
        self,
        operation: AnyOperation,
        names: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Any:  # noqa: ANN401  JSON
        """Ask for the operation; raises Refused."""
        quoted = {name: quote(value, safe="") for name, value in (names or {}).items()}
        url = self._url + ROOT + operation.path.format(**quoted)
        content = None if operation.body is None else orjson.dumps(body or {})
        headers = {"Content-Type": "application/json"} if content is not None else {}
        parameters = query_text(query or {})
        target = URL(url, encoded=True).update_query(parameters)
        try:
            async with self._session.request(
                operation.method, target, data=content, headers=headers, allow_redirects=False
            ) as response:
                answer = await response.read()
                if response.status not in _DONE:
                    raise Refused(_reason(response.status, answer))
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise Refused(f"{self._url} does not answer: {reason}: is a server running there?") from error
        return orjson.loads(answer) if answer else None


@asynccontextmanager
async def remote_api(url: str) -> AsyncIterator[RemoteApi]:
    """Ask the server at this URL, as whom the environment names; raises Refused."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise Refused(f"{url} is no server: write it as http://HOST:PORT or https://HOST, without a user name")
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, headers={"Authorization": _authorization(url)}) as session:
        yield RemoteApi(session, f"{parts.scheme}://{parts.netloc}")


def _authorization(url: str) -> str:
    """The credentials of the environment; a person at a terminal is asked for the password."""
    if token := os.environ.get("LADING_TOKEN"):
        return f"Bearer {token}"
    user, password = os.environ.get("LADING_USER", ROOT_USER), os.environ.get("LADING_PASSWORD")
    if password is None and sys.stdin.isatty():
        password = getpass.getpass(f"Password of {user} at {url}: ")
    if password is None:
        raise Refused(f"the password of {user} is missing: set LADING_PASSWORD (and LADING_USER for another user)")
    return aiohttp.encode_basic_auth(user, password)


def _reason(status: int, answer: bytes) -> str:
    """The server's own words, where it has any."""
    try:
        problem = orjson.loads(answer)
        reason = str(problem["detail"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        reason = f"the server answered with status {status}: is it a Lading server?"
    if status == _UNAUTHORIZED:
        reason += "; check LADING_USER and LADING_PASSWORD"
    return reason
