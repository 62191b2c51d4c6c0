"""What is checked of the settings outside themselves, before anything starts: files, directories, certificates."""

import os
from collections.abc import Iterator
from pathlib import Path

from registry.config import Settings
from registry.roots import check_variable
from registry.tls import CertificateInvalid, client_certificates, server_context
from storage.errors import KeyFileInvalid


def problems(settings: Settings) -> Iterator[str]:
    """Say what would keep a server with these settings from starting; changes nothing."""
    server = settings.server
    if server.tls_certificate is not None and server.tls_key is not None:
        try:
            server_context(server.tls_certificate, server.tls_key, client_certificates(server))
        except CertificateInvalid as error:
            yield f"server.tls_certificate: {error}"
    root = settings.storage.root
    place = _nearest(root)
    if not place.is_dir():
        yield f"storage.root: {place} is not a directory"
    elif not os.access(place, os.W_OK | os.X_OK):
        yield f"storage.root: {place} is not writable by this user: choose another with --root"
    yield from _of_root_key(settings)


def _of_root_key(settings: Settings) -> Iterator[str]:
    key_file = settings.encryption.key_file
    if key_file is not None and not os.access(key_file.parent, os.X_OK):
        yield f"encryption.key_file: cannot reach {key_file}"
    if settings.encryption.mode == "environment":
        try:
            check_variable()
        except KeyFileInvalid as error:
            yield f"encryption.mode: {error}"


def _nearest(path: Path) -> Path:
    """Find what exists of a path that may be still to be made."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
