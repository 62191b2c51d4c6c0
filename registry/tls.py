"""The server's certificate: loaded at start, and again whenever its files change.

- A pair is tried in a context of its own first, so that a broken one never replaces a good one.
- A change counts for handshakes from then on; connections that stand are not touched.
"""

import asyncio
import os
import ssl
from pathlib import Path
from typing import Final

from registry.logs import Logger

POLL_SECONDS: Final = 2.0
# Mozilla's "intermediate" list as of 2025: forward secrecy and authenticated encryption only
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class CertificateInvalid(Exception):
    """The certificate or its key cannot be used."""


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Make a context for TLS 1.2 and 1.3 that serves this pair; raises CertificateInvalid."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    _load(context, certificate, key)
    return context


class Certificate:
    """A context whose certificate follows its files."""

    def __init__(self, certificate: Path, key: Path, log: Logger) -> None:
        self._files = (certificate, key)
        self._log = log
        self._seen = self._stamp()
        self.context = server_context(certificate, key)

    def reload(self) -> None:
        """Load the pair again if it is a good one; else keep the one in use and log why."""
        self._seen = self._stamp()
        try:
            server_context(*self._files)
            _load(self.context, *self._files)
        except CertificateInvalid as error:
            self._log.error("the certificate was not reloaded: the one in use stays", reason=str(error))
        else:
            self._log.info("certificate reloaded", certificate=self._files[0])

    async def follow(self, poll_seconds: float = POLL_SECONDS) -> None:
        """Reload whenever a file changes; ends only by being cancelled."""
        while True:
            await asyncio.sleep(poll_seconds)
            if self._stamp() != self._seen:
                self.reload()

    def _stamp(self) -> list[tuple[int, int, int] | None]:
        return [_stat(file) for file in self._files]


def _stat(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    for file in (certificate, key):
        if not os.access(file, os.R_OK):
            msg = f"cannot read {file}: it must exist and be readable by the server's user"
            raise CertificateInvalid(msg)
    try:
        context.load_cert_chain(certificate, key, password=_refuse)
    except (ssl.SSLError, OSError, ValueError) as error:
        msg = f"{certificate} and {key} are no usable pair of certificate and key: {error}"
        raise CertificateInvalid(msg) from error


def _refuse() -> str:
    """Stand where OpenSSL would ask a terminal for the password of a key."""
    msg = "the key is locked with a password: store it without one"
    raise ValueError(msg)
