"""The server's certificate, and whose certificates clients may show: loaded at start, and again when a file changes.

- Files are tried in a context of their own first, so that broken ones never replace good ones.
- A change counts for handshakes from then on; connections that stand are not touched.
- No session is resumed where clients show certificates: each handshake asks the authorities of that moment.
"""

import asyncio
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from registry.config import ServerSettings
from registry.logs import Logger

POLL_SECONDS: Final = 2.0
# Mozilla's "intermediate" list as of 2025: forward secrecy and authenticated encryption only
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class CertificateInvalid(Exception):
    """The certificate or its key cannot be used."""


@dataclass(frozen=True, slots=True)
class ClientCertificates:
    """The authorities whose certificates clients may show, or must."""

    authorities: Path
    required: bool = False


def client_certificates(server: ServerSettings) -> ClientCertificates | None:
    """Whose certificates clients may show, as the settings say."""
    if server.tls_client_ca is None:
        return None
    return ClientCertificates(server.tls_client_ca, required=server.tls_client_auth == "required")


def server_context(certificate: Path, key: Path, clients: ClientCertificates | None = None) -> ssl.SSLContext:
    """Make a context for TLS 1.2 and 1.3 that serves this pair; raises CertificateInvalid.

    With client certificates TLS 1.3 only: the version before shows them to everybody on the way, and may take up a
    session again without asking for one.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2 if clients is None else ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    _load(context, certificate, key)
    if clients is not None:
        _trust(context, clients)
    return context


class Certificate:
    """A context whose certificate and authorities follow their files."""

    def __init__(self, certificate: Path, key: Path, log: Logger, clients: ClientCertificates | None = None) -> None:
        self._pair = certificate, key
        self._clients = clients
        self._log = log
        self._seen = self._stamp()
        self._current = server_context(certificate, key, clients)
        self.context = server_context(certificate, key, clients)
        # Authorities can be added to a context and not taken away: each handshake goes on with the context of its time.
        self.context.sni_callback = self._choose

    def _choose(self, handshake: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        handshake.context = self._current

    def reload(self) -> None:
        """Load the files again if they are good ones; else keep what is in use and log why."""
        self._seen = self._stamp()
        try:
            self._current = server_context(*self._pair, self._clients)
        except CertificateInvalid as error:
            self._log.error("the certificate was not reloaded: the one in use stays", reason=str(error))
        else:
            self._log.info("certificate reloaded", certificate=self._pair[0])

    async def follow(self, poll_seconds: float = POLL_SECONDS) -> None:
        """Reload whenever a file changes; ends only by being cancelled."""
        while True:
            await asyncio.sleep(poll_seconds)
            if self._stamp() != self._seen:
                self.reload()

    def _stamp(self) -> list[tuple[int, int, int] | None]:
        files = self._pair if self._clients is None else (*self._pair, self._clients.authorities)
        return [_stat(file) for file in files]


def _stat(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    _require_readable(certificate, key)
    try:
        context.load_cert_chain(certificate, key, password=_refuse)
    except (ssl.SSLError, OSError, ValueError) as error:
        msg = f"{certificate} and {key} are no usable pair of certificate and key: {error}"
        raise CertificateInvalid(msg) from error


def _trust(context: ssl.SSLContext, clients: ClientCertificates) -> None:
    """Ask clients for certificates that one of these authorities vouches for, a root or an intermediate one."""
    _require_readable(clients.authorities)
    context.verify_mode = ssl.CERT_REQUIRED if clients.required else ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    try:
        context.load_verify_locations(clients.authorities)
    except (ssl.SSLError, OSError) as error:
        msg = f"{clients.authorities} holds no certificates of authorities: {error}"
        raise CertificateInvalid(msg) from error


def _require_readable(*files: Path) -> None:
    for file in files:
        if not os.access(file, os.R_OK):
            msg = f"cannot read {file}: it must exist and be readable by the server's user"
            raise CertificateInvalid(msg)


def _refuse() -> str:
    """Stand where OpenSSL would ask a terminal for the password of a key."""
    msg = "the key is locked with a password: store it without one"
    raise ValueError(msg)
