"""The settings of encryption at rest: where the root key comes from."""

import re
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from registry.config_values import Endpoint, Section

Mode = Literal["local", "environment", "aws-kms", "off"]

DEFAULT_MODE: Final[Mode] = "local"
"""What counts where nobody chose."""

NOT_ENCRYPTED: Final = "encryption.mode is off: nothing is encrypted at rest"
"""What whoever runs such a registry is told."""

_KMS_KEY: Final = re.compile(r"[A-Za-z0-9:/_-]{1,2048}")


class EncryptionSettings(Section):
    """Encryption at rest."""

    mode: Mode = Field(
        default=DEFAULT_MODE,
        description="Where the root key comes from: local (key_file), environment (LADING_ROOT_KEY) or aws-kms; "
        "off: nothing is encrypted at rest.",
    )
    key_file: Path | None = Field(
        default=None,
        description="The root key of modes local and off; default: root.key in the data directory; nodes may share it.",
    )
    kms_key_id: str | None = Field(
        default=None,
        description="The key in AWS KMS that wraps with mode aws-kms: id, ARN, or alias/NAME; with another mode what "
        "it wrapped still opens. Credentials come from where AWS programs look.",
    )
    kms_endpoint_url: Endpoint | None = Field(
        default=None, description="The URL of a KMS that is not AWS's, as in https://kms.example.com."
    )

    @field_validator("kms_key_id")
    @classmethod
    def _check_kms_key(cls, value: str | None) -> str | None:
        if value is not None and not _KMS_KEY.fullmatch(value):
            msg = "a KMS key is an id, an ARN, or alias/ and a name, as in alias/lading"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _check_mode(self) -> Self:
        if self.mode == "aws-kms" and self.kms_key_id is None:
            msg = "the mode aws-kms needs a key: set encryption.kms_key_id"
            raise ValueError(msg)
        return self
