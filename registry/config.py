"""The settings: one typed model that documents and validates every key.

- A `Settings` is complete and valid, or it does not exist; it never changes afterwards.
- Durations are bare seconds; sizes are bytes, or a number with `KiB`, `MiB`, `GiB` or `TiB`.
- A value that may hold a password is a `SecretStr`, so that no print of the settings shows it.

Where the values come from is `registry.config_sources`; how they are printed is `registry.config_text`.
"""

import os
import re
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from auth.credentials import has_control_characters
from registry.config_encryption import EncryptionSettings
from registry.config_storage import StorageSettings
from registry.config_values import KIB, MIB, Bytes, Names, Networks, Seconds, Section, WholeSeconds

_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9.-]+)):(?P<port>[0-9]{1,5})")
_MAX_PORT = 65535


class SettingsInvalid(Exception):
    """The settings cannot be used; the text says which and why, one problem a line."""


def cores() -> int:
    """How many cores this process may use: its CPU affinity, and a container's CPU quota when there is one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        allowed = min(allowed, -(-int(quota) // int(period)))
    return max(1, allowed)


class ServerSettings(Section):
    """Where and how the server listens."""

    listen: str = Field(
        default="127.0.0.1:5000",
        description="Address and port, as in 0.0.0.0:5000 or [::1]:5000; port 0 takes a free one.",
    )
    public_url: str | None = Field(
        default=None,
        description="The URL that clients use, where a proxy stands in front; default: each request's own host.",
    )
    workers: int = Field(
        default_factory=cores,
        ge=1,
        le=256,
        description="Worker processes; default: the cores available to the process.",
    )
    tls_certificate: Path | None = Field(
        default=None,
        description="PEM file with the certificate chain; it is read again when it changes and on SIGHUP.",
    )
    tls_key: Path | None = Field(default=None, description="PEM file with the key of the certificate.")
    tls_client_ca: Path | None = Field(
        default=None,
        description="PEM file with the authorities whose client certificates log in the user that their CN names.",
    )
    tls_client_auth: Literal["optional", "required"] = Field(
        default="optional",
        description="Whether clients may connect without a certificate, where tls_client_ca is set.",
    )
    trusted_proxies: Networks = Field(
        default=(),
        description="Networks whose X-Forwarded-For, -Host and -Proto headers are believed, as in 10.0.0.0/8,::1/128.",
    )
    drain_seconds: Seconds = Field(default=10, description="How long running transfers may take to finish on SIGTERM.")

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str) -> str:
        match = _LISTEN.fullmatch(value)
        if match is None or int(match["port"]) > _MAX_PORT:
            msg = "an address is HOST:PORT, as in 127.0.0.1:5000 or [::1]:5000"
            raise ValueError(msg)
        if match["six"]:
            ip_address(match["six"])
        return value

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        url = urlsplit(value)
        if url.scheme not in {"http", "https"} or not url.hostname or url.username is not None:
            msg = "a public URL is http:// or https:// and a host, as in https://registry.example.com"
            raise ValueError(msg)
        if url.path not in {"", "/"} or url.query or url.fragment:
            msg = "a public URL has no path: clients look for /v2/ at the root of a host"
            raise ValueError(msg)
        return f"{url.scheme}://{url.netloc}"

    @model_validator(mode="after")
    def _check_pair(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            msg = "tls_certificate and tls_key go together: set both or none"
            raise ValueError(msg)
        if self.tls_client_ca is not None and self.tls_certificate is None:
            msg = "tls_client_ca needs tls_certificate and tls_key: client certificates come with TLS"
            raise ValueError(msg)
        return self

    @property
    def host(self) -> str:
        """The host part of `listen`, an IPv6 address without its brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port part of `listen`; 0 means any free one."""
        return int(self.listen.rpartition(":")[2])

    @property
    def is_loopback(self) -> bool:
        """Only programs on this machine can reach the address."""
        with suppress(ValueError):
            return ip_address(self.host).is_loopback
        return self.host == "localhost"


class MetadataSettings(Section):
    """Where metadata is kept."""

    url: SecretStr | None = Field(
        default=None,
        description="postgresql://USER:PASSWORD@HOST/DATABASE; default: SQLite in the data directory.",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            msg = "a metadata URL is postgresql://…; leave it out for SQLite in the data directory"
            raise ValueError(msg)
        return value


class AuthSettings(Section):
    """Who may come in."""

    admin_password: SecretStr | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="First password of the user admin; it counts only while the database is empty; default: generated.",
    )
    anonymous: Literal["none", "pull"] = Field(default="none", description="What callers without credentials may do.")
    token_ttl: Annotated[WholeSeconds, Field(ge=60, le=3600)] = Field(
        default=900, description="Life of a bearer token in seconds, 60 to 3600."
    )
    refresh_ttl: Annotated[WholeSeconds, Field(ge=3600)] = Field(
        default=7_776_000, description="Life of a refresh token, which `docker login` keeps; default: 90 days."
    )
    services: Names = Field(
        default=(),
        description="Other registries that trust our tokens, each by the service that its challenges name.",
    )

    @field_validator("admin_password")
    @classmethod
    def _check_admin_password(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and has_control_characters(value.get_secret_value()):
            msg = "a password holds no control characters, as the line break at the end of a file: nobody could log in"
            raise ValueError(msg)
        return value


class ManifestsSettings(Section):
    """Rules for manifests."""

    allow_sparse: Literal["none", "index", "all"] = Field(
        default="index",
        description="Which manifests may name content that is not here: none, an index, or all.",
    )


class RepositoriesSettings(Section):
    """Rules for repositories."""

    create_on_push: bool = Field(default=True, description="The first push to a name makes the repository.")


class LimitsSettings(Section):
    """Bounds for everything that comes from outside."""

    manifest_bytes: Bytes = Field(default=4 * MIB, ge=1, description="Largest manifest accepted, inclusive.")
    json_depth: int = Field(default=64, ge=4, le=500, description="Deepest nesting accepted in a JSON document.")
    tags_per_push: int = Field(default=100, ge=1, description="Most tags that one manifest push may set.")
    page: int = Field(default=1000, ge=1, le=100_000, description="Longest page of a list.")
    blob_bytes: Bytes | None = Field(default=None, ge=1, description="Largest blob accepted, inclusive; default: any.")
    uploads: int = Field(default=10_000, ge=1, description="Most open upload sessions of one caller.")
    upload_ttl: WholeSeconds = Field(
        default=86_400, ge=1, description="An upload that nobody continued for so long is removed."
    )
    login_attempts: int = Field(
        default=10,
        ge=1,
        description="Most wrong passwords a minute for one user from one address, and 30 times as many for all users.",
    )
    header_bytes: Bytes = Field(
        default=32 * KIB, ge=4 * KIB, le=MIB, description="Longest request line, and longest header, accepted."
    )
    header_seconds: Seconds = Field(default=15, gt=0, description="How long the head of a request may take to arrive.")
    body_idle: Seconds = Field(default=60, gt=0, description="How long the body of a request may stand still.")


class LogSettings(Section):
    """What is logged, and how."""

    format: Literal["json", "console"] | None = Field(
        default=None, description="json or console; default: console on a terminal, else json."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important kind of line that is written."
    )
    access: bool = Field(default=True, description="Write a line for every request.")


class AuditSettings(Section):
    """What is recorded of who did what."""

    file: Path | None = Field(
        default=None, description="JSON lines are appended to this file as well; several workers may share it."
    )
    retention: WholeSeconds = Field(
        default=7_776_000, ge=60, description="How long events are kept in the database; default: 90 days."
    )
    refusals: int = Field(
        default=600, ge=1, description="Most refusals a minute recorded of strangers at one address, by each worker."
    )


class Settings(BaseSettings):
    """Everything that a person can set. Construction reads nothing but its arguments."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
        env_prefix="LADING_",
        env_nested_delimiter="__",
        env_nested_max_split=1,
        env_ignore_empty=True,
        enable_decoding=False,
    )

    dev: bool = Field(default=False, description="Anonymous push and pull, for this machine only.")
    server: ServerSettings = Field(default_factory=ServerSettings)
    metadata: MetadataSettings = Field(default_factory=MetadataSettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    encryption: EncryptionSettings = Field(default_factory=EncryptionSettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    manifests: ManifestsSettings = Field(default_factory=ManifestsSettings)
    repositories: RepositoriesSettings = Field(default_factory=RepositoriesSettings)
    limits: LimitsSettings = Field(default_factory=LimitsSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    audit: AuditSettings = Field(default_factory=AuditSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments only: `config_sources` merges the other sources, so that it can say where a value came from."""
        return (init_settings,)

    @model_validator(mode="after")
    def _check_dev(self) -> Self:
        if self.dev and not self.server.is_loopback:
            msg = (
                f"--dev lets anyone push and pull, so it serves only this machine: listen on 127.0.0.1, "
                f"not on {self.server.host}, or leave --dev out"
            )
            raise ValueError(msg)
        return self

    @property
    def key_file(self) -> Path:
        """Where the root key is."""
        return self.encryption.key_file or self.storage.root / "root.key"
