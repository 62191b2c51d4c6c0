"""Bytes on their way to S3: sent from where they lie, as often as it takes, with a checksum."""

import base64
import hashlib
import zlib
from collections.abc import Iterator, Sequence

from storage.blobs.s3.client import Checksum


class Content:
    """Chunks as one file that boto3 can read and rewind; nothing is copied.

    `read` gives one chunk at a time, however many bytes are asked for, for pieces of 16 KiB would cost 512 system calls
    a part.
    """

    def __init__(self, chunks: Sequence[bytes | memoryview]) -> None:
        self._chunks = [chunk for chunk in chunks if len(chunk)]
        self._length = sum(map(len, self._chunks))
        self._next = 0

    def __len__(self) -> int:
        """Bytes in all."""
        return self._length

    def __iter__(self) -> Iterator[bytes | memoryview]:
        """Every chunk, in order."""
        return iter(self._chunks)

    def read(self, _size: int = -1) -> bytes | memoryview:
        """The next chunk, empty at the end."""
        if self._next == len(self._chunks):
            return b""
        self._next += 1
        return self._chunks[self._next - 1]

    def tell(self) -> int:
        """How many bytes were read."""
        return sum(map(len, self._chunks[: self._next]))

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go back to the beginning, or to the end, which is all that boto3 does."""
        if whence == 0 and offset == 0:
            self._next = 0
        elif whence in {0, 2} and offset == (self._length if whence == 0 else 0):
            self._next = len(self._chunks)
        else:
            message = f"cannot seek to {offset} from {whence}"
            raise ValueError(message)
        return self.tell()

    def checksum(self, kind: Checksum) -> dict[str, str]:
        """The parameter of boto3 that carries the checksum; none for sha256, which is in the signature."""
        if kind == "crc32":
            crc = 0
            for chunk in self._chunks:
                crc = zlib.crc32(chunk, crc)
            return {"ChecksumCRC32": base64.b64encode(crc.to_bytes(4)).decode()}
        if kind == "md5":
            md5 = hashlib.md5(usedforsecurity=False)
            for chunk in self._chunks:
                md5.update(chunk)
            return {"ContentMD5": base64.b64encode(md5.digest()).decode()}
        return {}
