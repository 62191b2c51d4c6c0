"""A small, strict AWS KMS in memory: AWS JSON 1.1 over real HTTP on a loopback port, served by threads.

It knows Encrypt, Decrypt and DescribeKey (AWS KMS API reference), holds callers to the encryption context, and refuses,
throttles or keeps silent when a test says so.
"""

import base64
import json
import os
import re
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ACCESS_KEY, SECRET_KEY, REGION = "AKIDKMS", "kms-secret", "eu-west-1"
_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/[0-9]{8}/([^/]+)/([^/]+)/aws4_request,")
_SIZES = {"Encrypt": 4096, "Decrypt": 6144}


@dataclass
class Key:
    """A key; `state` as KMS names it."""

    arn: str
    material: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    state: str = "Enabled"

    @property
    def id(self) -> str:
        return self.arn.rpartition("/")[2]


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    operation: str
    document: dict[str, Any]


class _Refused(Exception):
    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


class KmsServer:
    """A region of KMS that is served at `url` between `with` and its end; `asked` tells what came."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self.aliases: dict[str, Key] = {}
        self.asked: list[Asked] = []
        self.refuses: tuple[str, int] | None = None
        """The code and status with which every request is refused."""
        self.answers: bytes | None = None
        """What every request is answered, with status 200."""
        self.is_silent = False
        self._heard = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                server._answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._heard.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(timeout=10)

    def create_key(self, alias: str | None = None) -> Key:
        key = Key(f"arn:aws:kms:{REGION}:111122223333:key/{uuid.uuid4()}")
        self.keys[key.id] = key
        if alias is not None:
            self.aliases[f"alias/{alias}"] = key
        return key

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        if self.is_silent:
            self._heard.wait()
            return
        try:
            status, answer = 200, self.answers or json.dumps(self._perform(request, body)).encode()
        except _Refused as refused:
            status, answer = refused.status, json.dumps({"__type": refused.code, "message": "refused"}).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/x-amz-json-1.1")
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def _perform(self, request: BaseHTTPRequestHandler, body: bytes) -> dict[str, Any]:
        _admit(request)
        service, _, operation = request.headers.get("X-Amz-Target", "").partition(".")
        document = json.loads(body)
        self.asked.append(Asked(operation, document))
        if self.refuses is not None:
            raise _Refused(*self.refuses)
        match service, operation:
            case "TrentService", "Encrypt":
                return self._encrypt(**document)
            case "TrentService", "Decrypt":
                return self._decrypt(**document)
            case "TrentService", "DescribeKey":
                key = self._key(**document)
                return {"KeyMetadata": {"KeyId": key.id, "Arn": key.arn, "KeyState": key.state}}
            case _:
                raise _Refused("UnknownOperationException", 404)

    def _encrypt(self, KeyId: str, Plaintext: str, EncryptionContext: dict[str, str]) -> dict[str, Any]:  # noqa: N803  KMS's
        key = self._usable(KeyId)
        nonce = os.urandom(12)
        plaintext = _bytes(Plaintext, "Encrypt")
        sealed = key.id.encode() + nonce + AESGCM(key.material).encrypt(nonce, plaintext, _context(EncryptionContext))
        return {"KeyId": key.arn, "CiphertextBlob": base64.b64encode(sealed).decode()}

    def _decrypt(self, CiphertextBlob: str, EncryptionContext: dict[str, str], KeyId: str) -> dict[str, Any]:  # noqa: N803  KMS's
        sealed = _bytes(CiphertextBlob, "Decrypt")
        key = self._usable(KeyId)
        if sealed[:36].decode("ascii", "replace") not in self.keys:
            raise _Refused("InvalidCiphertextException")
        if sealed[:36].decode() != key.id:
            raise _Refused("IncorrectKeyException")
        try:
            plaintext = AESGCM(key.material).decrypt(sealed[36:48], sealed[48:], _context(EncryptionContext))
        except InvalidTag:
            raise _Refused("InvalidCiphertextException") from None
        return {"KeyId": key.arn, "Plaintext": base64.b64encode(plaintext).decode()}

    def _usable(self, name: str) -> Key:
        key = self._key(name)
        if key.state == "Disabled":
            raise _Refused("DisabledException")
        if key.state != "Enabled":
            raise _Refused("KMSInvalidStateException")
        return key

    def _key(self, KeyId: str) -> Key:  # noqa: N803  KMS's
        name = KeyId.removeprefix(f"arn:aws:kms:{REGION}:111122223333:").removeprefix("key/")
        key = self.aliases.get(name) or self.keys.get(name)
        if key is None:
            raise _Refused("NotFoundException")
        return key


def _admit(request: BaseHTTPRequestHandler) -> None:
    if request.path != "/" or request.headers.get("Content-Type") != "application/x-amz-json-1.1":
        raise _Refused("UnknownOperationException", 404)
    scope = _SCOPE.match(request.headers.get("Authorization", ""))
    if scope is None:
        raise _Refused("MissingAuthenticationTokenException")
    if scope[1] != ACCESS_KEY:
        raise _Refused("UnrecognizedClientException")
    if scope.groups()[1:] != (REGION, "kms"):
        raise _Refused("InvalidSignatureException")


def _bytes(text: str, operation: str) -> bytes:
    decoded = base64.b64decode(text, validate=True)
    if not 1 <= len(decoded) <= _SIZES[operation]:
        raise _Refused("ValidationException")
    return decoded


def _context(context: dict[str, str]) -> bytes:
    """The context is to be there, of texts alone; its order does not count."""
    if not context or not all(isinstance(value, str) for value in context.values()):
        raise _Refused("ValidationException")
    return json.dumps(context, sort_keys=True).encode()
