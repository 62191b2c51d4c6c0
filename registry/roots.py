"""The root keys that the settings name, opened in the process that uses them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from registry.config import Settings
from storage.roots.chosen import ChosenRoots
from storage.roots.held import VARIABLE, EnvironmentKeys, FileKeys, HeldKeys, keys_of_variable
from storage.roots.interface import FoundingKeys
from storage.roots.kms import KmsKeys, KmsPlace


@contextmanager
def open_roots(settings: Settings) -> Iterator[FoundingKeys]:
    """What wraps as the mode says, and unwraps what any source that is there wrapped; nothing is read or asked yet.

    With mode `off` the key file wraps the secrets of the registry.
    """
    mode = settings.encryption.mode
    file, variable = FileKeys(settings.key_file), EnvironmentKeys(os.environ.get(VARIABLE))
    held = HeldKeys(variable, file) if mode == "environment" else HeldKeys(file, variable)
    place = _kms_place(settings)
    kms = None if place is None else KmsKeys(place)
    try:
        yield ChosenRoots(held, kms, kms_wraps=mode == "aws-kms")
    finally:
        if kms is not None:
            kms.close()


def check_variable() -> None:
    """Raise KeyFileInvalid where the environment does not hold root keys."""
    keys_of_variable(os.environ.get(VARIABLE))


def _kms_place(settings: Settings) -> KmsPlace | None:
    encryption = settings.encryption
    if encryption.kms_key_id is None and encryption.kms_endpoint_url is None:
        return None
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return KmsPlace(encryption.kms_key_id, encryption.kms_endpoint_url, region)
