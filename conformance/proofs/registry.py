"""A small registry client: enough of the OCI Distribution API to push, read back and ask.

- Every request opens a connection of its own, so that several workers get their share.
- A body is streamed while the answer is watched: an early refusal is read, not run over.
"""

import base64
import dataclasses
import hashlib
import http.client
import json
import re
import select
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
ACCEPT = f"{MANIFEST}, {INDEX}, {DOCKER_MANIFEST}, {DOCKER_LIST}"
READ_BYTES = 1 << 20
TOKEN_SECONDS = 240
SCOPED = re.compile(r"^/v2/(?P<name>.+)/(?:blobs|manifests|tags|referrers)/")

Body = bytes | Iterable[bytes]


class Unexpected(Exception):
    """The registry answered something else than the proof asks for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """One response: its body is empty when it went to a sink."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def expect(self, *statuses: int) -> Self:
        """Return this answer, or raise Unexpected when its status is none of these."""
        if self.status not in statuses:
            raise Unexpected(f"answered {self.status}, not {statuses}: {self.body[:300]!r}")
        return self


def sha256(content: bytes) -> str:
    """The digest of these bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry:
    """One registry on loopback, spoken to with a name and a password."""

    def __init__(self, address: str, username: str, password: str, timeout_seconds: float = 60) -> None:
        self.address = address
        self.timeout_seconds = timeout_seconds
        self._basic = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        self._challenge: str | None = None
        self._tokens: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    # -- requests ------------------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Body = b"",
        headers: Mapping[str, str] | None = None,
        sink: Callable[[bytes], None] | None = None,
    ) -> Answer:
        """One request with credentials; an iterable body goes out chunked unless a Content-Length is given."""
        sent = dict(headers or {})
        authorization = self.authorization(path)
        if authorization:
            sent["Authorization"] = authorization
        return self.exchange(method, path, sent, body, sink)

    def exchange(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: Body = b"",
        sink: Callable[[bytes], None] | None = None,
    ) -> Answer:
        """One request with these headers and no credentials of its own."""
        connection = http.client.HTTPConnection(self.address, timeout=self.timeout_seconds)
        try:
            send(connection, method, path, headers, body)
            response = connection.getresponse()
            content = b""
            if sink is None:
                content = response.read()
            else:
                while piece := response.read(READ_BYTES):
                    sink(piece)
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, content)
        finally:
            connection.close()

    def authorization(self, path: str) -> str | None:
        """The header that lets in a request to a path, None where there is none."""
        with self._lock:
            if self._challenge is None:
                answer = self.exchange("GET", "/v2/", {})
                self._challenge = answer.headers.get("www-authenticate", "")
            if not self._challenge:
                return None
            if not self._challenge.lower().startswith("bearer"):
                return self._basic
            scoped = SCOPED.match(path)
            scope = f"repository:{scoped['name']}:pull,push,delete" if scoped else ""
            token, expires = self._tokens.get(scope, ("", 0.0))
            if time.monotonic() > expires:
                token = self._token(scope)
                self._tokens[scope] = (token, time.monotonic() + TOKEN_SECONDS)
            return f"Bearer {token}"

    def _token(self, scope: str) -> str:
        fields = dict(re.findall(r'(\w+)="([^"]*)"', self._challenge or ""))
        query = {"service": fields.get("service", "")} | ({"scope": scope} if scope else {})
        realm = urllib.parse.urlsplit(fields["realm"])
        target = f"{realm.path}?{urllib.parse.urlencode(query)}"
        # the token service of another registry may be ours, and the other way round
        service = Registry(realm.netloc, "", "", self.timeout_seconds)
        answer = service.exchange("GET", target, {"Authorization": self._basic}).expect(200)
        return str(answer.json()["token"])

    # -- blobs ---------------------------------------------------------------------------------------------------

    def begin(self, repository: str) -> str:
        """Begin an upload; its location."""
        answer = self.request("POST", f"/v2/{repository}/blobs/uploads/").expect(202)
        return self.local(answer.headers["location"])

    def push_blob(self, repository: str, content: bytes) -> str:
        """Push bytes as docker does: begin, stream, commit; the digest."""
        digest = sha256(content)
        pieces = (content[at : at + READ_BYTES] for at in range(0, len(content), READ_BYTES))
        answer = self.request("PATCH", self.begin(repository), body=pieces).expect(202)
        self.commit(self.local(answer.headers["location"]), digest)
        return digest

    def commit(self, location: str, digest: str, body: Body = b"") -> None:
        """Close an upload under its digest."""
        separator = "&" if "?" in location else "?"
        headers = {"Content-Type": "application/octet-stream"}
        self.request("PUT", f"{location}{separator}digest={digest}", body=body, headers=headers).expect(201)

    def pull_blob(self, repository: str, digest: str) -> bytes:
        """The bytes of a blob, compared with their digest."""
        content = self.request("GET", f"/v2/{repository}/blobs/{digest}").expect(200).body
        if sha256(content) != digest:
            raise Unexpected(f"blob {digest} of {repository} came back as {sha256(content)}, {len(content)} bytes")
        return content

    # -- manifests -----------------------------------------------------------------------------------------------

    def push_manifest(self, repository: str, reference: str, content: bytes, media_type: str = MANIFEST) -> str:
        """Push one manifest; its digest as the registry names it."""
        path = f"/v2/{repository}/manifests/{reference}"
        answer = self.request("PUT", path, body=content, headers={"Content-Type": media_type}).expect(201)
        return answer.headers.get("docker-content-digest", "")

    def pull_manifest(self, repository: str, reference: str) -> bytes:
        """The bytes of a manifest, compared with the digest that the registry names."""
        path = f"/v2/{repository}/manifests/{reference}"
        answer = self.request("GET", path, headers={"Accept": ACCEPT}).expect(200)
        named = answer.headers.get("docker-content-digest") or sha256(answer.body)
        if sha256(answer.body) != named or (":" in reference and reference != named):
            raise Unexpected(f"manifest {reference} of {repository} came back as {sha256(answer.body)}")
        return answer.body

    def tags(self, repository: str) -> list[str]:
        """Every tag of a repository, page after page."""
        path: str | None = f"/v2/{repository}/tags/list"
        found: list[str] = []
        while path:
            answer = self.request("GET", path).expect(200)
            found += answer.json()["tags"] or []
            following = re.match(r"<([^>]+)>", answer.headers.get("link", ""))
            path = self.local(following[1]) if following else None
        return found

    def local(self, location: str) -> str:
        """A Location or Link of the answer as a path on this registry."""
        parts = urllib.parse.urlsplit(location)
        return parts.path + (f"?{parts.query}" if parts.query else "")


def send(
    connection: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str], body: Body
) -> None:
    """Write one request; stop at once when the server answers or closes before the body is out."""
    connection.putrequest(method, path, skip_accept_encoding=True)
    is_plain = isinstance(body, bytes)
    is_chunked = not is_plain and "Content-Length" not in headers
    if is_plain and (body or method in ("POST", "PUT", "PATCH")):
        connection.putheader("Content-Length", str(len(body)))  # type: ignore[arg-type] # bytes, as is_plain says
    if is_chunked:
        connection.putheader("Transfer-Encoding", "chunked")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    try:
        for piece in (body,) if isinstance(body, bytes) else body:
            if is_answered(connection):
                return
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
        if is_chunked:
            connection.send(b"0\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        pass  # the answer may still be there to be read


def is_answered(connection: http.client.HTTPConnection) -> bool:
    """True when something waits to be read; returns as soon as the socket can be written."""
    sock = connection.sock
    readable, _, _ = select.select([sock], [sock], [], connection.timeout)
    return bool(readable)
