"""The admin API of a server, asked over HTTP."""

import getpass
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote, urlsplit

import aiohttp
import orjson
from pydantic import ValidationError
from yarl import URL

from auth.bootstrap import ROOT_USER
from auth.credentials import has_control_characters
from registry.admin.operation import ROOT, AnyOperation
from registry.commands.api import Refused, body_text, query_text

_SECONDS: Final = 60
_DONE: Final = range(200, 300)
_UNAUTHORIZED: Final = 401
_SERVER: Final = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+", re.ASCII)
_FOREIGN: Final = "the server answered with status {status}, and not as Lading does: is it a Lading server?"


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
        content = None if operation.body is None else body_text(body)
        headers = {"Content-Type": "application/json"} if content is not None else {}
        parameters = query_text(query or {})
        target = URL(url, encoded=True).update_query(parameters)
        try:
            async with self._session.request(
                operation.method, target, data=content, headers=headers, allow_redirects=False
            ) as response:
                answer = await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise Refused(f"{self._url} does not answer: {reason}: is a server running there?") from error
        if status not in _DONE:
            raise Refused(_reason(status, answer))
        return _document(operation, status, answer)


@asynccontextmanager
async def remote_api(url: str) -> AsyncIterator[RemoteApi]:
    """Ask the server at this URL, as whom the environment names; raises Refused."""
    base = url.removesuffix("/")
    if not _is_server(base):
        # Not told back: a password may stand in it.
        raise Refused("--server names no server: write it as http://HOST:PORT or https://HOST, and nothing more")
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, headers={"Authorization": _authorization(base)}) as session:
        yield RemoteApi(session, base)


def _is_server(url: str) -> bool:
    """Whether this is a scheme with a host, and a port if need be; no credentials, path or query."""
    if _SERVER.fullmatch(url) is None:
        return False
    try:
        return bool(urlsplit(url).hostname) and urlsplit(url).port != 0
    except ValueError:
        return False


def _authorization(url: str) -> str:
    """The credentials of the environment; a person at a terminal is asked for the password."""
    if token := os.environ.get("LADING_TOKEN"):
        if has_control_characters(token):
            raise Refused("LADING_TOKEN holds a control character, a line break perhaps: give the token and no more")
        return f"Bearer {token}"
    user, password = os.environ.get("LADING_USER", ROOT_USER), os.environ.get("LADING_PASSWORD")
    if ":" in user:
        raise Refused("LADING_USER holds a colon, which no user name can: the password goes into LADING_PASSWORD")
    if password is None and sys.stdin.isatty():
        password = getpass.getpass(f"Password of {user} at {url}: ")
    if password is None:
        raise Refused(f"the password of {user} is missing: set LADING_PASSWORD (and LADING_USER for another user)")
    return aiohttp.encode_basic_auth(user, password)


def _document(operation: AnyOperation, status: int, answer: bytes) -> Any:  # noqa: ANN401  JSON
    """What was answered, which may have members that a later server adds; raises Refused for what is no answer."""
    if operation.answer is None:
        return None
    try:
        operation.answer.model_validate_json(answer, extra="ignore")
    except ValidationError as error:
        raise Refused(_FOREIGN.format(status=status)) from error
    return orjson.loads(answer)


def _reason(status: int, answer: bytes) -> str:
    """The server's own words, where it has any."""
    try:
        problem = orjson.loads(answer)
        reason = str(problem["detail"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        reason = _FOREIGN.format(status=status)
    if status == _UNAUTHORIZED:
        reason += "; check LADING_USER and LADING_PASSWORD"
    return reason
