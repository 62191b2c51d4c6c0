"""What a registry is filled with before it is measured: each content is pushed once, when it is first asked for.

Blobs come back once with their digest compared, and lists are counted, so that what is measured later is there.
"""

import hashlib
import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from bench.connection import FAILURES, Answer, Connection, Refused
from bench.disks import WRITERS
from bench.load import Base, Pusher, Shape
from bench.pulls import check
from bench.requests import Broken, Job, ask_once, request
from bench.served import Peer
from bench.tokens import NoToken

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_LINES = 8
_TAGS_AT_ONCE = 100
_LAYERS = 6
_SMALL_BYTES = 1024
Content = TypeVar("Content")


class TooSlow(Exception):
    """A registry was not filled in the time that it had."""


UNFILLED = (*FAILURES, TooSlow, Broken, NoToken)
"""Why a registry cannot be filled; it is not tried again."""


class Bases:
    """The bases of all sizes that are pushed; leaving the context removes them."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._bases: dict[int, Base] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._bases.clear()

    def of(self, size: int) -> Base:
        """The base of a size."""
        if size not in self._bases:
            self._bases[size] = self._stack.enter_context(Base(size))
        return self._bases[size]


@dataclass(frozen=True, slots=True)
class Tagged:
    """A repository of so many tags, which all name one of two manifests at first the former."""

    repository: str
    tags: tuple[str, ...]
    manifests: tuple[bytes, bytes]

    @property
    def digest(self) -> str:
        """What a tag names that nobody moved."""
        return digest_of(self.manifests[0])


class Stock:
    """A registry and what it was filled with."""

    def __init__(self, peer: Peer, bases: Bases, fill_seconds: float = 600.0) -> None:
        self.peer = peer
        self.bases = bases
        self._fill_seconds = fill_seconds
        self._kept: dict[Hashable, Any] = {}

    def blobs(self, size: int, count: int) -> list[str]:
        """The digests of so many blobs of a size."""
        return self.once((size, count), lambda: [self._pushed(size) for _ in range(count)])

    def tagged(self, count: int, purpose: str = "read") -> Tagged:
        """A repository of so many tags; those with another purpose than `read` are other repositories."""
        return self.once(("tagged", count, purpose), lambda: self._tag(f"bench/{purpose}{count}", count))

    def repositories(self, count: int) -> int:
        """So many repositories of one empty index each, named `many/00000` and on."""
        return self.once(("repositories", count), lambda: self._repeat(count))

    def referred(self, count: int) -> tuple[str, str]:
        """A repository, and the digest of a manifest in it that so many others refer to."""
        return self.once(("referred", count), lambda: self._refer(f"bench/referred{count}", count))

    def small_blob(self) -> tuple[str, str]:
        """A repository, and the digest of a blob of 1 KiB in it."""
        repository = self.tagged(10).repository
        return repository, digest_of(_small(0))

    def once(self, key: Hashable, fill: Callable[[], Content]) -> Content:
        """What was pushed under a key, pushed now where it was not; raises again what came of it then."""
        if key not in self._kept:
            try:
                self._kept[key] = fill()
            except UNFILLED as error:
                self._kept[key] = error
        found: Content | Exception = self._kept[key]
        if isinstance(found, Exception):
            raise found
        return found

    def _pushed(self, size: int) -> str:
        """Push a blob, and pull it once, so that it is in memory too."""
        base = self.bases.of(size)
        body = base.body()
        with Connection(self.peer) as connection, Pusher(connection, base) as pusher:
            pusher.push(body, Shape.PATCH)
        check(self.peer, body.digest)
        return body.digest

    def _tag(self, repository: str, count: int) -> Tagged:
        layers = [_small(number) for number in range(_LAYERS)]
        self._put_blobs(repository, [b"{}", *layers])
        manifests = (image(layers, "first"), image(layers, "second"))
        tags = tuple(f"v{number:06d}" for number in range(count))
        self._name(repository, tags, manifests[0])
        self._put_manifests(repository, [(digest_of(manifests[1]), manifests[1])])
        for tag in (tags[0], tags[-1]):
            self._check_manifest(repository, tag, manifests[0])
        return Tagged(repository, tags, manifests)

    def _repeat(self, count: int) -> int:
        empty = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
        names = [f"many/{number:05d}" for number in range(count)]
        wanted = (
            request("PUT", f"/v2/{name}/manifests/latest", {**self.peer.headers(name), "Content-Type": INDEX}, empty)
            for name in names
        )
        self._ask_each(wanted)
        return count

    def _refer(self, repository: str, count: int) -> tuple[str, str]:
        subject = image([], "subject")
        self._put_blobs(repository, [b"{}"])
        self._put_manifests(repository, [("subject", subject)])
        described = descriptor(MANIFEST, subject)
        self._put_manifests(
            repository,
            ((digest_of(each), each) for each in (image([], f"{number}", described) for number in range(count))),
        )
        digest = digest_of(subject)
        with Connection(self.peer, repository) as connection:
            found = json.loads(connection.ask("GET", f"/v2/{repository}/referrers/{digest}", 200).content)
        if len(found["manifests"]) != count:
            raise Refused(f"{len(found['manifests'])} referrers of {count} are listed")
        return repository, digest

    def _put_blobs(self, repository: str, contents: Iterable[bytes]) -> None:
        with Connection(self.peer, repository) as connection:
            for content in contents:
                put_blob(connection, content)

    def _put_manifests(self, repository: str, named: Iterable[tuple[str, bytes]]) -> None:
        """Push manifests under their references, or under several tags of a query, over several connections."""
        headers = {**self.peer.headers(repository), "Content-Type": MANIFEST}
        path = f"/v2/{repository}/manifests/"
        self._ask_each(request("PUT", path + reference, headers, body) for reference, body in named)

    def _ask_each(self, requests: Iterator[bytes]) -> None:
        """Ask each once, as long as there is time; 201 is expected."""
        wanted = Shared(requests)
        job = Job(
            self.peer.address,
            [wanted] * _LINES,
            self._fill_seconds,
            expected=201,
            is_repeated=False,
            certificate=self.peer.certificate,
        )
        asked = ask_once(job)
        if asked.errors:
            raise Refused(asked.errors[0])
        if next(iter(wanted), None) is not None:
            raise TooSlow(f"{asked.count} manifests were pushed in {asked.seconds:.0f} s, and that was not all")

    def _name(self, repository: str, tags: Sequence[str], content: bytes) -> None:
        """Have all tags name one manifest: many at a push where that can be, else as files."""
        writer = WRITERS.get(self.peer.name)
        if writer is None:
            groups = (tags[first : first + _TAGS_AT_ONCE] for first in range(0, len(tags), _TAGS_AT_ONCE))
            self._put_manifests(repository, ((digest_of(content) + _query(group), content) for group in groups))
        else:
            self._put_manifests(repository, [(tags[0], content)])
            writer(self.peer.folder / "data", repository, tags)
        with Connection(self.peer, repository) as connection:
            listed = connection.ask("GET", f"/v2/{repository}/tags/list", 200).content
        if len(json.loads(listed)["tags"]) != len(tags):
            raise Refused(f"{len(json.loads(listed)['tags'])} tags are listed, not {len(tags)}")

    def _check_manifest(self, repository: str, reference: str, expected: bytes) -> None:
        with Connection(self.peer, repository) as connection:
            path = f"/v2/{repository}/manifests/{reference}"
            if connection.ask("GET", path, 200, {"Accept": MANIFEST}).content != expected:
                raise Refused("another manifest came than was pushed")


class Shared:
    """What several take from in turn."""

    def __init__(self, these: Iterator[bytes]) -> None:
        self._these = these

    def __iter__(self) -> Iterator[bytes]:
        return self._these


def put_blob(connection: Connection, content: bytes) -> str:
    """Push a small blob in one PUT; its digest. Raises Refused."""
    repository = connection.repository
    digest = digest_of(content)
    location = connection.ask("POST", f"/v2/{repository}/blobs/uploads/", 202).location
    path = f"{location}{'&' if '?' in location else '?'}digest={digest}"
    connection.send("PUT", path, 201, {"Content-Type": "application/octet-stream"}, content)
    return digest


def put_manifest(connection: Connection, reference: str, content: bytes) -> Answer:
    """Push a manifest. Raises Refused."""
    path = f"/v2/{connection.repository}/manifests/{reference}"
    return connection.send("PUT", path, 201, {"Content-Type": MANIFEST}, content)


def digest_of(content: bytes) -> str:
    """The SHA-256 digest of some bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def descriptor(media_type: str, content: bytes) -> dict[str, object]:
    """A descriptor of some bytes."""
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def image(layers: list[bytes], title: str, subject: dict[str, object] | None = None) -> bytes:
    """A manifest of an image with an empty configuration; images of different titles differ."""
    return manifest([descriptor(LAYER, layer) for layer in layers], descriptor(CONFIG, b"{}"), title, subject)


def manifest(
    layers: list[dict[str, object]], config: dict[str, object], title: str, subject: dict[str, object] | None = None
) -> bytes:
    """A manifest of descriptors."""
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": layers,
        "annotations": {"org.opencontainers.image.title": title},
    }
    if subject:
        document |= {"subject": subject, "artifactType": "application/vnd.example.bench"}
    return json.dumps(document).encode()


def _query(tags: Sequence[str]) -> str:
    return f"?{'&'.join(f'tag={tag}' for tag in tags)}"


def _small(number: int) -> bytes:
    return (b"%d" % number).ljust(_SMALL_BYTES, b".")
