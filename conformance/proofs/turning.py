"""Clients that push and pull without a pause, and may meet no error, whatever happens to the keys meanwhile."""

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Self

from proofs.pushes import BROKEN
from proofs.registry import CONFIG, LAYER, MANIFEST, Registry, Unexpected, sha256

SMALL_BYTES = (1, 4_000, 70_000)
LARGE_BYTES = (1_500_000, 9 << 20)
PIECE_BYTES = (10_000, 300_000, 1_500_000)
PIECES = 8
PIECE_SECONDS = 0.5  # so that an upload outlasts several rotations
KEPT = 300
REPOSITORIES = ("rotation/one", "rotation/two", "rotation/other")


class Load:
    """All clients; leaving the context waits until each has ended what it was doing."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self.failures: list[str] = []
        self.counts: Counter[str] = Counter()
        self.blobs: list[tuple[str, str]] = []
        self.images: list[tuple[str, str]] = []
        clients = (self._image, self._image, self._blob, self._in_pieces, self._in_pieces, self._pull, self._pull)
        self._threads = [threading.Thread(target=self._repeat, args=(client,)) for client in clients]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, client: Callable[[random.Random], str]) -> None:
        chosen = random.Random()
        while not self._ending.is_set() and not self.failures:
            try:
                done = client(chosen)
            except BROKEN as error:
                self.failures.append(f"{client.__name__.strip('_')}: {error!r}")
                return
            with self._lock:
                self.counts[done] += 1

    def _image(self, chosen: random.Random) -> str:
        """Push an image of small blobs under a tag, and read it back."""
        repository, config, layer = chosen.choice(REPOSITORIES), os.urandom(40), os.urandom(chosen.choice(SMALL_BYTES))
        for content in (config, layer):
            self._registry.push_blob(repository, content)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": sha256(config), "size": len(config)},
                "layers": [{"mediaType": LAYER, "digest": sha256(layer), "size": len(layer)}],
                "annotations": {"drawn": os.urandom(20).hex()},
            }
        ).encode()
        self._registry.push_manifest(repository, "latest", manifest)
        self._keep(repository, sha256(layer), sha256(manifest))
        return "images"

    def _blob(self, chosen: random.Random) -> str:
        repository, content = chosen.choice(REPOSITORIES), os.urandom(chosen.choice(LARGE_BYTES))
        self._keep(repository, self._registry.push_blob(repository, content))
        return "large blobs"

    def _in_pieces(self, chosen: random.Random) -> str:
        """An upload of several requests, each on a connection of its own, with pauses between."""
        repository, content = chosen.choice(REPOSITORIES), b""
        location = self._registry.begin(repository)
        for _ in range(PIECES):
            piece = os.urandom(chosen.choice(PIECE_BYTES))
            headers = {"Content-Range": f"{len(content)}-{len(content) + len(piece) - 1}"}
            answer = self._registry.request("PATCH", location, body=piece, headers=headers).expect(202)
            location, content = self._registry.local(answer.headers["location"]), content + piece
            time.sleep(PIECE_SECONDS)
        self._registry.commit(location, sha256(content))
        self._keep(repository, sha256(content))
        return "uploads in pieces"

    def _pull(self, chosen: random.Random) -> str:
        """Read something that was acknowledged, the oldest as well as the newest."""
        with self._lock:
            images, blobs = list(self.images), list(self.blobs)
        if not images or not blobs:
            time.sleep(0.1)
            return "waits"
        repository, digest = chosen.choice(blobs)
        self._registry.pull_blob(repository, digest)
        part = self._registry.request("GET", f"/v2/{repository}/blobs/{digest}", headers={"Range": "bytes=-500"})
        if part.status != 206:
            raise Unexpected(f"a range of {digest} is answered {part.status}")
        self._registry.pull_manifest(*chosen.choice(images))
        return "pulls"

    def _keep(self, repository: str, blob: str, manifest: str = "") -> None:
        """Remember what was acknowledged; not all, so that reading it again takes no longer than the rest."""
        with self._lock:
            for kept, digest in ((self.blobs, blob), (self.images, manifest)):
                if digest:
                    kept.append((repository, digest))
                if len(kept) > KEPT:
                    kept.pop(random.randrange(len(kept)))
