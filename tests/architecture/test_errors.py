"""Every fact that can reach a door has a row in that door's table."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import auth
import registry
import storage
from auth.errors import AuthError
from registry.core.errors import RegistryError
from registry.oci.errors import TABLE
from storage.errors import StorageError

_FAMILIES = (StorageError, AuthError, RegistryError)
# The error codes of the OCI distribution specification, "Error Codes".
_CODES = {
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
}


def _import_everything() -> None:
    for package in (storage, auth, registry):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in module.name and not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def _facts(family: type[Exception]) -> Iterator[type[Exception]]:
    for fact in family.__subclasses__():
        yield fact
        yield from _facts(fact)


@pytest.mark.parametrize("family", _FAMILIES)
def test_the_oci_door_has_a_row_for_every_fact(family: type[Exception]) -> None:
    _import_everything()

    assert [fact.__name__ for fact in _facts(family) if fact not in TABLE] == []


def test_every_client_error_has_a_code_of_the_specification() -> None:
    foreign = {code for status, code in TABLE.values() if status < 500} - _CODES

    assert foreign == set()


def test_every_fact_explains_itself() -> None:
    _import_everything()

    assert [fact.__name__ for family in _FAMILIES for fact in _facts(family) if not fact.__doc__] == []
