"""The settings of where content is kept: in the data directory, or in a bucket."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from registry.config_values import MIB, Bytes, Endpoint, Section

_RESERVE_BYTES = 64 * MIB
_RESERVE_SHARE = 50  # 2 % of the disk
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SSE = re.compile(r"AES256|aws:kms(:\S{1,256})?")


def default_root() -> Path:
    """`$XDG_DATA_HOME/lading`, or `~/.local/share/lading`."""
    home = os.environ.get("XDG_DATA_HOME", "")
    return (Path(home) if home.startswith("/") else Path("~/.local/share").expanduser()) / "lading"


class StorageSettings(Section):
    """Where content is kept."""

    backend: Literal["filesystem", "s3"] = Field(
        default="filesystem", description="filesystem: in the data directory; s3: in a bucket, see `bucket`."
    )
    root: Path = Field(
        default_factory=default_root,
        description="The data directory: databases, keys and, on the filesystem backend, content.",
    )
    durability: Literal["full", "relaxed"] = Field(
        default="full",
        description="full: what was acknowledged survives a power cut; relaxed: it may not, for throw-away registries.",
    )
    reserve: Bytes | None = Field(
        default=None,
        description="Bytes kept free on the disk, below which pushes are refused; "
        "default: the smaller of 64 MiB and 2 % of the disk.",
    )

    bucket: str | None = Field(
        default=None,
        description="The bucket; credentials come from where AWS programs look: environment, files, a role.",
    )
    prefix: str = Field(
        default="",
        max_length=256,
        description="What every key begins with, as in registry/, where the bucket has more in it.",
    )
    endpoint_url: Endpoint | None = Field(
        default=None, description="The URL of an S3 that is not AWS's, as in https://s3.example.com:9000."
    )
    region: str | None = Field(default=None, description="The region of the bucket; default: AWS_REGION, or us-east-1.")
    addressing: Literal["auto", "path", "virtual"] = Field(
        default="auto", description="Whether the bucket is in the path of a URL or in its host name."
    )
    ca_bundle: Path | None = Field(
        default=None, description="PEM file with the authorities that sign the certificate of endpoint_url."
    )
    sse: str | None = Field(
        default=None,
        description="Server-side encryption to ask for: AES256, aws:kms, or aws:kms:KEY; default: the bucket's.",
    )
    checksum: Literal["crc32", "sha256", "md5", "none"] = Field(
        default="crc32",
        description="What S3 is to compare bytes with; md5 for servers older than 2022; sha256 costs most.",
    )
    requester_pays: bool = Field(default=False, description="The bucket charges whoever asks, and we agree to pay.")
    part_bytes: Annotated[Bytes, Field(ge=5 * MIB, le=64 * MIB)] | None = Field(
        default=None,
        description="Every part of a large blob has exactly this size, as R2 wants it, 5 to 64 MiB; a blob has at most "
        "10,000; default: 8 MiB, and more from the thousandth on.",
    )
    redirect: bool = Field(
        default=False,
        description="Send clients to the bucket for blobs, with URLs that hold for a minute, instead of through here.",
    )

    @field_validator("root", mode="before")
    @classmethod
    def _require_name(cls, value: object) -> object:
        if value == "":
            msg = "name the data directory: an empty name would be that of the working directory"
            raise ValueError(msg)
        return value

    @field_validator("root")
    @classmethod
    def _make_absolute(cls, value: Path) -> Path:
        return Path(os.path.abspath(value.expanduser()))  # noqa: PTH100 (resolve() would follow a link that may move)

    def reserve_bytes(self, disk_bytes: int) -> int:
        """How many bytes to keep free on a disk of this size."""
        return min(_RESERVE_BYTES, disk_bytes // _RESERVE_SHARE) if self.reserve is None else self.reserve

    @field_validator("bucket")
    @classmethod
    def _check_bucket(cls, value: str | None) -> str | None:
        if value is not None and not _BUCKET.fullmatch(value):
            msg = "a bucket's name has 3 to 63 lower-case letters, digits, dots and dashes: no s3:// and no path"
            raise ValueError(msg)
        return value

    @field_validator("prefix")
    @classmethod
    def _check_prefix(cls, value: str) -> str:
        path = value.strip("/")
        if not re.fullmatch(r"[A-Za-z0-9._/-]*", path) or "//" in path or {".", ".."} & set(path.split("/")):
            msg = "a prefix is made of letters, digits, dots, dashes and underscores between single slashes"
            raise ValueError(msg)
        return f"{path}/" if path else ""

    @field_validator("sse")
    @classmethod
    def _check_encryption(cls, value: str | None) -> str | None:
        if value is not None and not _SSE.fullmatch(value):
            msg = "server-side encryption is AES256, aws:kms, or aws:kms: and the id of a key"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _check_backend(self) -> Self:
        if self.backend == "s3" and self.bucket is None:
            msg = "the backend s3 needs a bucket: set storage.bucket"
            raise ValueError(msg)
        return self
