"""Images of many layers, pushed and pulled as docker does it: what it asks, in its order, one connection an image."""

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.comparison import IMAGES
from bench.connection import FAILURES, Connection, Refused
from bench.load import MIB, Base, Body, Pusher, Shape
from bench.loads import Came, Load
from bench.memory import make_ready
from bench.pulls import Puller
from bench.stock import CONFIG, LAYER, MANIFEST, Stock, descriptor, digest_of, manifest, put_blob, put_manifest

_LAYERS = 10
_LAYER_MIB = 4
_TAG = "latest"
_EACH = 4


@dataclass(frozen=True, slots=True)
class Image:
    """An image that was never there before."""

    layers: tuple[Body, ...]
    config: bytes

    @classmethod
    def of(cls, base: Base) -> "Image":
        """So many layers of one base, and a configuration of its own."""
        return cls(tuple(base.body() for _ in range(_LAYERS)), json.dumps({"id": secrets.token_hex(16)}).encode())

    @property
    def manifest(self) -> bytes:
        """Its manifest."""
        layers = [{"mediaType": LAYER, "digest": each.digest, "size": each.size} for each in self.layers]
        return manifest(layers, descriptor(CONFIG, self.config), "layers")

    @property
    def size(self) -> int:
        """The bytes of its layers."""
        return sum(each.size for each in self.layers)


def push(connection: Connection, base: Base, image: Image) -> None:
    """Ask for each layer, push it in one PATCH of chunks, then the configuration and the manifest. Raises Refused."""
    path = f"/v2/{connection.repository}/blobs/"
    with Pusher(connection, base) as pusher:
        for body in image.layers:
            connection.ask("HEAD", path + body.digest, 404)
            pusher.push(body, Shape.CHUNKED)
    connection.ask("HEAD", path + digest_of(image.config), 404)
    put_blob(connection, image.config)
    put_manifest(connection, _TAG, image.manifest)


def pull(connection: Connection) -> int:
    """Ask what the tag names, pull that, and all that it names; the bytes of the layers. Raises Refused."""
    path = f"/v2/{connection.repository}/manifests/"
    head = connection.ask("HEAD", path + _TAG, 200, {"Accept": MANIFEST})
    digest = head.headers["Docker-Content-Digest"]
    content = connection.ask("GET", path + digest, 200, {"Accept": MANIFEST}).content
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
        raise Refused("the manifest has another digest")
    document, puller = json.loads(content), Puller(connection)
    puller.pull(document["config"]["digest"])
    return sum(puller.pull(layer["digest"]) for layer in document["layers"])


def pushing_images(registries: tuple[str, ...], count: int) -> Load:
    """So many images at once, each into a repository of its own, and a few times over."""

    def run(stock: Stock) -> Came:
        base = stock.bases.of(_LAYER_MIB * MIB)
        images = [[Image.of(base) for _ in range(_EACH)] for _ in range(count)]

        def work(number: int, connection: Connection) -> int:
            for image in images[number]:
                push(connection, base, image)
            return _EACH * images[number][0].size

        return _together(stock, count, work)

    def prepare(stock: Stock) -> None:
        stock.bases.of(_LAYER_MIB * MIB)
        make_ready(count * _EACH * _LAYERS * _LAYER_MIB * MIB)

    return Load(f"push of images of {_LAYERS} layers, {count} at once", IMAGES, registries, prepare, run)


def pulling_images(registries: tuple[str, ...], count: int) -> Load:
    """So many images at once, each from a repository of its own, and a few times over."""

    def prepare(stock: Stock) -> None:
        stock.once(("images", count), lambda: _fill(stock, count))

    def run(stock: Stock) -> Came:
        return _together(stock, count, lambda _, connection: sum(pull(connection) for _ in range(_EACH)))

    return Load(f"pull of images of {_LAYERS} layers, {count} at once", IMAGES, registries, prepare, run)


def _fill(stock: Stock, count: int) -> int:
    base = stock.bases.of(_LAYER_MIB * MIB)
    for number in range(count):
        with Connection(stock.peer, _repository(number)) as connection:
            push(connection, base, Image.of(base))
    return count


def _repository(number: int) -> str:
    return f"bench/image{number}"


def _together(stock: Stock, count: int, work: Callable[[int, Connection], int]) -> Came:
    """Do the work of so many connections at once; what it came to in images a second."""
    start = threading.Barrier(count + 1)

    def one(number: int, connection: Connection) -> tuple[int, str]:
        with connection:
            start.wait()
            try:
                return work(number, connection), ""
            except FAILURES as error:
                return 0, f"{type(error).__name__}: {error}"

    connections = [Connection(stock.peer, _repository(number)) for number in range(count)]
    with ThreadPoolExecutor(count) as threads:
        waiting = [threads.submit(one, number, connection) for number, connection in enumerate(connections)]
        start.wait()
        began = time.perf_counter()
        results: Sequence[tuple[int, str]] = [each.result() for each in waiting]
        seconds = time.perf_counter() - began
    errors = tuple(error for _, error in results if error)
    return Came(_EACH * (count - len(errors)) / seconds, sum(size for size, _ in results), errors)
