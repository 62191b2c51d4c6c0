"""Concurrent pushes with a ledger of what was acknowledged, and the comparison after a crash.

- Content comes from a seed, so that nothing but digests is remembered and an unfinished push can be made again.
- An image has a tag that is written once; `latest` of each repository moves with every image.
"""

import dataclasses
import http.client
import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from proofs.outcome import Failed, Inconclusive, check
from proofs.registry import CONFIG, LAYER, MANIFEST, Registry, Unexpected, sha256

PUSHERS = 6
READERS = 4
LAYER_SIZES = (1, 4_000, 70_000, 1_500_000, 5_000_000)
LAYERS = 3
BROKEN = (OSError, http.client.HTTPException, Unexpected)


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """An image that can be made again from its seed."""

    seed: int
    repository: str

    @property
    def tag(self) -> str:
        """The tag that only this image gets."""
        return f"image-{self.seed}"

    def layers(self) -> list[bytes]:
        """The bytes of its layers."""
        source = random.Random(self.seed)
        return [source.randbytes(source.choice(LAYER_SIZES)) for _ in range(LAYERS)]

    def config(self) -> bytes:
        """The bytes of its config."""
        return json.dumps({"architecture": "amd64", "os": "linux", "seed": self.seed}).encode()

    def manifest(self) -> bytes:
        """The bytes of its manifest."""

        def described(content: bytes, media_type: str) -> dict[str, object]:
            return {"mediaType": media_type, "digest": sha256(content), "size": len(content)}

        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": described(self.config(), CONFIG),
                "layers": [described(layer, LAYER) for layer in self.layers()],
            }
        ).encode()


class Ledger:
    """What was acknowledged, what was under way, and what failed without a reason."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seeds = 0
        self.blobs: set[tuple[str, str]] = set()
        self.manifests: dict[tuple[str, str], str] = {}
        self.latest: dict[str, set[str]] = {}
        self.unfinished: list[Image] = []
        self.errors: list[str] = []

    def new_image(self, repository: str) -> Image:
        """An image that was not pushed before."""
        with self._lock:
            self._seeds += 1
            return Image(self._seeds, repository)

    def push(self, registry: Registry, image: Image) -> None:
        """Push one image and write down each acknowledgement as it comes."""
        for content in (image.config(), *image.layers()):
            digest = registry.push_blob(image.repository, content)
            with self._lock:
                self.blobs.add((image.repository, digest))
        manifest = image.manifest()
        registry.push_manifest(image.repository, image.tag, manifest)
        digest = sha256(manifest)
        with self._lock:
            self.manifests[image.repository, image.tag] = digest
            # until the next one is acknowledged, the tag may name either
            self.latest.setdefault(image.repository, set()).add(digest)
        registry.push_manifest(image.repository, "latest", manifest)
        with self._lock:
            self.latest[image.repository] = {digest}

    def broke_off(self, image: Image) -> None:
        """A push that the crash cut off."""
        with self._lock:
            self.unfinished.append(image)

    def failed(self, reason: str) -> None:
        """A push that failed while the server ran."""
        with self._lock:
            self.errors.append(reason)


class Pushing:
    """Pushes from several threads, each into a repository of its own, until told that the end is near."""

    def __init__(self, registry: Registry, ledger: Ledger) -> None:
        self._registry = registry
        self._ledger = ledger
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._push, args=(number,)) for number in range(PUSHERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def expect_the_end(self) -> None:
        """From here on a broken connection is what was meant to happen."""
        self._ending.set()

    def _push(self, number: int) -> None:
        while not self._ending.is_set():
            image = self._ledger.new_image(f"crash/{number}")
            try:
                self._ledger.push(self._registry, image)
            except BROKEN as error:
                self._ledger.broke_off(image)
                if not self._ending.is_set():
                    self._ledger.failed(f"{image.tag}: {error!r}")
                    return


def compare(registry: Registry, ledger: Ledger) -> None:
    """Everything acknowledged is there and byte-correct; what was not can be pushed again."""
    if ledger.errors:
        raise Failed(f"pushes failed while the server ran: {ledger.errors[:3]}")
    if not ledger.manifests or not ledger.unfinished:
        raise Inconclusive("nothing was acknowledged, or nothing was under way")
    with ThreadPoolExecutor(READERS) as pool:
        lost = [reason for reason in pool.map(lambda read: read(), reads(registry, ledger)) if reason]
    check(not lost, f"{len(lost)} acknowledged things are lost: {lost[:3]}")
    again, ledger.unfinished = ledger.unfinished, []
    for image in again:
        try:
            ledger.push(registry, image)
        except BROKEN as error:
            raise Failed(f"{image.tag} cannot be pushed again: {error}") from error


def reads(registry: Registry, ledger: Ledger) -> Iterator["Read"]:
    """One read for each thing that was acknowledged."""
    for repository, digest in ledger.blobs:
        yield Read(registry, repository, digest, frozenset({digest}), is_blob=True)
    for (repository, tag), digest in ledger.manifests.items():
        yield Read(registry, repository, tag, frozenset({digest}))
        yield Read(registry, repository, digest, frozenset({digest}))
    for repository, digests in ledger.latest.items():
        yield Read(registry, repository, "latest", frozenset(digests))


@dataclasses.dataclass(frozen=True, slots=True)
class Read:
    """Read one thing back; the reason why it is not as acknowledged, or nothing."""

    registry: Registry
    repository: str
    reference: str
    digests: frozenset[str]
    is_blob: bool = False

    def __call__(self) -> str:
        """Read it."""
        pull = self.registry.pull_blob if self.is_blob else self.registry.pull_manifest
        try:
            found = sha256(pull(self.repository, self.reference))
        except BROKEN as error:
            return f"{self.repository} {self.reference}: {error}"
        return "" if found in self.digests else f"{self.repository} {self.reference} is {found}"
