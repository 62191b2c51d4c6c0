"""Media types."""

import pytest

from registry.core.media_types import essence, is_distributed


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/octet-stream",
        "",
    ],
)
def test_an_ordinary_layer_must_be_in_the_registry(media_type: str) -> None:
    assert is_distributed(media_type)


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ],
)
def test_a_foreign_layer_need_not_be_in_the_registry(media_type: str) -> None:
    assert not is_distributed(media_type)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("  Application/JSON ;x=y;z", "application/json"),
        ("", ""),
        (";", ""),
    ],
)
def test_the_essence_of_a_content_type_has_no_parameters(content_type: str, expected: str) -> None:
    assert essence(content_type) == expected
