"""Tags that are written as files are where the registry would have put them."""

import json
from pathlib import Path

import pytest

from bench.disks import WRITERS
from bench.files import DOCKER, ZOT
from bench.peers import DISTRIBUTION

_DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize("name", [DISTRIBUTION, DOCKER])
def test_a_tag_is_a_link_to_a_digest(name: str, tmp_path: Path) -> None:
    tags = tmp_path / "docker" / "registry" / "v2" / "repositories" / "team" / "app" / "_manifests" / "tags"
    (tags / "first" / "current").mkdir(parents=True)
    (tags / "first" / "current" / "link").write_text(_DIGEST)

    WRITERS[name](tmp_path, "team/app", ["first", "second"])

    assert sorted(path.name for path in tags.iterdir()) == ["first", "second"]
    assert (tags / "second" / "current" / "link").read_text() == _DIGEST
    assert (tags / "second" / "index" / "sha256" / ("ab" * 32) / "link").read_text() == _DIGEST


def test_a_tag_is_a_descriptor_in_an_index(tmp_path: Path) -> None:
    folder = tmp_path / "team" / "app"
    folder.mkdir(parents=True)
    first = {"digest": _DIGEST, "size": 2, "annotations": {"org.opencontainers.image.ref.name": "first"}}
    other = {"digest": "sha256:" + "cd" * 32, "size": 3}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [first, other]}))

    WRITERS[ZOT](tmp_path, "team/app", ["first", "second"])

    assert json.loads((folder / "index.json").read_text()) == {
        "schemaVersion": 2,
        "manifests": [first, {**first, "annotations": {"org.opencontainers.image.ref.name": "second"}}, other],
    }
