"""The content store that the settings name."""

from pathlib import Path

import pytest

from registry.config_storage import StorageSettings
from registry.stores import s3_place
from storage.blobs.s3.client import S3Place


@pytest.fixture(autouse=True)
def _no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)


def test_a_place_is_what_the_settings_say() -> None:
    """Every one of them."""
    settings = StorageSettings(
        root=Path("/data"),
        backend="s3",
        bucket="layers",
        prefix="registry",
        endpoint_url="https://s3.example.com",
        region="eu-central-1",
        addressing="path",
        ca_bundle=Path("/ca.pem"),
        sse="aws:kms:key",
        checksum="md5",
        requester_pays=True,
    )

    place = s3_place(settings)

    assert place == S3Place(
        bucket="layers",
        prefix="registry/",
        endpoint_url="https://s3.example.com",
        region="eu-central-1",
        addressing="path",
        ca_bundle=Path("/ca.pem"),
        sse="aws:kms:key",
        checksum="md5",
        requester_pays=True,
    )
    assert place.name == "s3://layers/registry/ at https://s3.example.com"


@pytest.mark.parametrize(
    ("variables", "endpoint", "region"),
    [
        ({}, None, None),
        ({}, "http://127.0.0.1:9000", "us-east-1"),
        ({"AWS_DEFAULT_REGION": "b"}, "http://127.0.0.1:9000", "b"),
        ({"AWS_DEFAULT_REGION": "b", "AWS_REGION": "a"}, None, "a"),
    ],
)
def test_a_region_comes_from_where_aws_programs_look(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], endpoint: str | None, region: str | None
) -> None:
    """A server that is not AWS's needs none."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = StorageSettings(root=Path("/data"), backend="s3", bucket="layers", endpoint_url=endpoint)

    assert s3_place(settings).region == region
