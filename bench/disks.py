"""Tags written where a registry in Go keeps them, for pushing thousands would take it minutes.

Each writes the files that the registry writes at a push; what it lists afterwards is counted by whoever asked for them.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.files import DISTRIBUTION_TLS, DISTRIBUTION_TOKENS, DOCKER, ZOT, ZOT_TLS
from bench.peers import DISTRIBUTION

Writer = Callable[[Path, str, Sequence[str]], None]
"""Gives further tags to what the one tag of a repository names; the path is that of all data."""


def _write_links(data: Path, repository: str, tags: Sequence[str]) -> None:
    """A directory for each tag, with a file for its digest and one for each that it had."""
    folder = data / "docker" / "registry" / "v2" / "repositories" / repository / "_manifests" / "tags"
    digest = next(folder.glob("*/current/link")).read_text()
    for tag in tags:
        for where in (folder / tag / "current", folder / tag / "index" / "sha256" / digest.removeprefix("sha256:")):
            where.mkdir(parents=True, exist_ok=True)
            (where / "link").write_text(digest)


def _write_index(data: Path, repository: str, tags: Sequence[str]) -> None:
    """An OCI image layout: a descriptor for each tag in one file."""
    path = data / repository / "index.json"
    document = json.loads(path.read_text())
    first, *others = document["manifests"]
    named = [{**first, "annotations": {"org.opencontainers.image.ref.name": tag}} for tag in tags]
    path.write_text(json.dumps({**document, "manifests": [*named, *others]}))


WRITERS: dict[str, Writer] = {
    DISTRIBUTION: _write_links,
    DISTRIBUTION_TOKENS: _write_links,
    DISTRIBUTION_TLS: _write_links,
    DOCKER: _write_links,
    ZOT: _write_index,
    ZOT_TLS: _write_index,
}
