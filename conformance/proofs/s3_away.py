"""S3 is gone for a while: it refuses connections, then it takes them and says nothing."""

import contextlib
import dataclasses
import os
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from proofs.bucket import OwnS3
from proofs.fault_proxy import Faults
from proofs.outcome import check
from proofs.pushes import Image, Ledger
from proofs.registry import Answer, Registry, sha256
from proofs.server import Server
from proofs.workspace import Workspace

REPOSITORY = "away/blobs"
TAG = "latest"
FAST_SECONDS = 1.0
BOUND_SECONDS = 110
READY_SECONDS = 10
PIECE_BYTES = 1 << 20
PIECES = 48
AT_ONCE = 40
OCTETS = {"Content-Type": "application/octet-stream"}


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """What is in the registry while S3 is there."""

    blob: bytes
    image: Image


def prove(workspace: Workspace) -> str:
    """Requests that need S3 end with 503 in time, all others work; once it is back, so does everything."""
    folder = workspace.folder("s3-away")
    with OwnS3(folder / "s3") as own:
        settings = own.settings("away")
        upstream = urllib.parse.urlsplit(settings["LADING_STORAGE__ENDPOINT_URL"]).netloc
        with Faults(upstream) as faults:
            settings["LADING_STORAGE__ENDPOINT_URL"] = f"http://{faults.address}"
            with Server(workspace, folder / "data", folder / "server.log", settings) as server:
                registry = server.registry
                registry.timeout_seconds = 600
                stored = fill(registry)
                told = [
                    absence(server, stored, "frozen", own.freeze, own.thaw),
                    absence(server, stored, "refused", lambda: faults.order("away"), lambda: faults.order("back")),
                ]
                server.verify()
                server.stop()
    return "; ".join(told)


def fill(registry: Registry) -> Stored:
    """Push a blob of many windows and an image."""
    blob = os.urandom(PIECES * PIECE_BYTES)
    registry.push_blob(REPOSITORY, blob)
    image = Image(7, REPOSITORY)
    Ledger().push(registry, image)
    return Stored(blob, image)


def absence(server: Server, stored: Stored, name: str, leave: Callable[[], object], back: Callable[[], object]) -> str:
    """Take S3 away for a while; what was seen."""
    registry = server.registry
    going_on = Slow(registry, sha256(stored.blob))
    going_on.begun.wait(30)
    leave()
    began = time.monotonic()
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            asked = [pool.submit(refused, registry, way, stored) for way in (*WAYS, *[pull] * (AT_ONCE - len(WAYS)))]
            going_on.go_on()
            slowest = works_without(registry, stored, lambda: all(each.done() for each in asked))
        seconds = {way.__name__: each.result() for way, each in zip(WAYS, asked, strict=False)}
        longest = max(each.result() for each in asked)
        going_on.end(began)
    finally:
        back()
    recovered = wait_until_ready(registry)
    registry.pull_blob(REPOSITORY, sha256(stored.blob))
    registry.push_blob(REPOSITORY, os.urandom(PIECE_BYTES))
    check(longest < BOUND_SECONDS, f"{name}: a request took {longest:.0f} s: {seconds}")
    one = ", ".join(f"{way} {taken:.1f}" for way, taken in seconds.items())
    return (
        f"{name}: 503 after {one} s, the last of {AT_ONCE} at once after {longest:.1f} s; a pull under way broken off "
        f"after {going_on.seconds:.1f} s; manifests within {slowest * 1000:.0f} ms; ready {recovered:.1f} s after"
    )


def refused(registry: Registry, way: Callable[[Registry, Stored], Answer], stored: Stored) -> float:
    """Ask for what needs S3; the seconds until it is refused."""
    began = time.monotonic()
    answer = way(registry, stored)
    seconds = time.monotonic() - began
    check(answer.status == 503, f"{way.__name__} is answered {answer.status}: {answer.body[:200]!r}")
    check("retry-after" in answer.headers, f"the 503 of {way.__name__} has no Retry-After")
    return seconds


def pull(registry: Registry, stored: Stored) -> Answer:
    """Pull a blob."""
    return registry.request("GET", f"/v2/{REPOSITORY}/blobs/{sha256(stored.blob)}")


def look(registry: Registry, stored: Stored) -> Answer:
    """Ask whether a blob is there; the answer to a HEAD."""
    return registry.request("HEAD", f"/v2/{REPOSITORY}/blobs/{sha256(stored.blob)}")


def push(registry: Registry, _stored: Stored) -> Answer:
    """Push a blob with one POST."""
    content = os.urandom(PIECE_BYTES)
    target = f"/v2/{REPOSITORY}/blobs/uploads/?digest={urllib.parse.quote(sha256(content))}"
    return registry.request("POST", target, body=content, headers=OCTETS)


def small_patch(registry: Registry, _stored: Stored) -> Answer:
    """Send a few bytes."""
    return registry.request("PATCH", registry.begin(REPOSITORY), body=b"x" * PIECE_BYTES)


def large_patch(registry: Registry, _stored: Stored) -> Answer:
    """Send several parts."""
    pieces: Iterator[bytes] = (os.urandom(PIECE_BYTES) for _ in range(PIECES))
    return registry.request("PATCH", registry.begin(REPOSITORY), body=pieces)


WAYS = (pull, look, push, small_patch, large_patch)


def works_without(registry: Registry, stored: Stored, is_over: Callable[[], bool]) -> float:
    """What needs no S3 works, until all else has ended; the seconds that the slowest took."""
    slowest, was_unready, until = 0.0, False, time.monotonic() + READY_SECONDS
    while not is_over() or not (was_unready or time.monotonic() > until):
        for path in ("/healthz", "/v2/", f"/v2/{REPOSITORY}/manifests/{TAG}"):
            began = time.monotonic()
            registry.request("GET", path).expect(200)
            slowest = max(slowest, time.monotonic() - began)
        ready = registry.exchange("GET", "/readyz", {})
        was_unready = was_unready or (ready.status == 503 and "reason" in ready.json()["parts"]["content"])
        time.sleep(0.2)
    check(registry.pull_manifest(REPOSITORY, TAG) == stored.image.manifest(), "the manifest is another")
    check(slowest < FAST_SECONDS, f"what needs no S3 took {slowest:.1f} s")
    check(was_unready, "/readyz did not say that content is away")
    return slowest


def wait_until_ready(registry: Registry) -> float:
    """Wait for /readyz, on several connections, so that every worker is asked; the seconds that it took."""
    began = time.monotonic()
    good = 0
    while good < 10:
        answer = registry.exchange("GET", "/readyz", {})
        good = good + 1 if answer.status == 200 else 0
        seconds = time.monotonic() - began
        check(seconds < READY_SECONDS, f"not ready {seconds:.0f} s after S3 was back: {answer.body[:300]!r}")
        if answer.status != 200:
            time.sleep(0.2)
    return time.monotonic() - began


class Slow:
    """A pull that is in the middle of a blob when S3 goes."""

    def __init__(self, registry: Registry, digest: str) -> None:
        self._registry = registry
        self._path = f"/v2/{REPOSITORY}/blobs/{digest}"
        self._may_go_on = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._pulling = self._pool.submit(self._pull)
        self.begun = threading.Event()
        self.seconds = 0.0

    def _pull(self) -> int:
        came = 0

        def take(piece: bytes) -> None:
            nonlocal came
            came += len(piece)
            self.begun.set()
            self._may_go_on.wait(30)

        self._registry.request("GET", self._path, sink=take)
        return came

    def go_on(self) -> None:
        """Read the rest."""
        self._may_go_on.set()

    def end(self, began: float) -> None:
        """It must have broken off: its length was told, and fewer bytes came."""
        came = 0
        with self._pool, contextlib.suppress(ConnectionError):
            came = self._pulling.result(BOUND_SECONDS)
        self.seconds = time.monotonic() - began
        check(came < PIECES * PIECE_BYTES, "all of a blob came while S3 was away")
