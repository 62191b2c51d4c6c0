"""A signed hint that travels in an upload's Location: how many bytes are staged, and their digest.

- It only saves reading staged bytes again, and counts only while the upload stands at its offset, with its mark.
- Where the store gives no marks, the key is drawn when the server starts: after a restart no hint counts, for the bytes
  may not have reached the disk.
- Clients that drop the query are served all the same.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass

from storage.digest import Digest
from storage.errors import DigestInvalid

_MAC_BYTES = 16
_MAX_TEXT = 512


@dataclass(frozen=True, slots=True)
class UploadHint:
    """Proof that the first `offset` staged bytes have a digest; `mark` is the store's, and has no dot."""

    offset: int
    digest: Digest
    mark: str = ""


class HintSigner:
    """Writes and reads hints under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, upload_id: str, hint: UploadHint) -> str:
        """The hint as URL-safe text."""
        statement = f"{hint.offset}.{hint.mark}.{hint.digest}"
        seal = base64.urlsafe_b64encode(self._mac(upload_id, statement)).decode().rstrip("=")
        return f"{statement}.{seal}"

    def read(self, upload_id: str, text: str | None) -> UploadHint | None:
        """The hint for this upload, or None when it is missing, forged, or of another start of the server."""
        if not text or len(text) > _MAX_TEXT:
            return None
        statement, _, seal = text.rpartition(".")
        try:
            offset, mark, digest = statement.split(".")
            mac = base64.urlsafe_b64decode(seal + "==")
            if not hmac.compare_digest(mac, self._mac(upload_id, statement)):
                return None
            return UploadHint(int(offset), Digest.parse(digest), mark)
        except (binascii.Error, ValueError, DigestInvalid):
            return None

    def _mac(self, upload_id: str, statement: str) -> bytes:
        return hmac.digest(self._key, f"{upload_id}.{statement}".encode(), "sha256")[:_MAC_BYTES]
