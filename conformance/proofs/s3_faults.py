"""Pushes and pulls while the way to S3 fails in all the ways that we know of."""

import dataclasses
import http.client
import random
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from proofs.bucket import OwnS3
from proofs.fault_proxy import Faults
from proofs.outcome import Failed, Inconclusive, check
from proofs.registry import Registry, Unexpected, sha256
from proofs.server import Server
from proofs.workspace import Workspace

SHARE = 0.08
PUSHERS, PULLERS = 4, 3
ROUND_SECONDS = 8
SIZES = (1 << 10, 70_000, 1_500_000, 9 << 20, 20 << 20, 40 << 20)
WEIGHTS = (30, 20, 20, 14, 10, 6)
PIECE_BYTES = 6 << 20
STREAM_BYTES = 1 << 18
ATTEMPTS = 6
PAUSE_SECONDS = 0.5
REPOSITORY = "faults/blobs"
OCTETS = {"Content-Type": "application/octet-stream"}
BROKEN = (OSError, http.client.HTTPException)
Way = Callable[[Registry, bytes], None]


class Seen:
    """What was acknowledged, and how requests ended."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.blobs: list[tuple[int, int]] = []
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def count(self, what: str) -> None:
        """One more of these."""
        with self.lock:
            self.counts[what] += 1


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """One client of the load."""

    registry: Registry
    seen: Seen
    until: float

    def push(self, number: int) -> None:
        """Push blobs in three ways until time is up."""
        chosen = random.Random(number)
        while time.monotonic() < self.until:
            seed, size = chosen.getrandbits(63), chosen.choices(SIZES, WEIGHTS)[0]
            content = random.Random(seed).randbytes(size)
            way = chosen.choice((stream, pieces, whole))
            if any(self._is_pushed(way, content, attempt) for attempt in range(ATTEMPTS)):
                with self.seen.lock:
                    self.seen.blobs.append((seed, size))
            else:
                self.seen.count("pushes given up")

    def _is_pushed(self, way: Way, content: bytes, attempt: int) -> bool:
        time.sleep(PAUSE_SECONDS * attempt)
        try:
            way(self.registry, content)
        except (*BROKEN, Unexpected) as error:
            self.seen.count(f"push: {shown(error)}")
            return False
        return True

    def pull(self, number: int) -> None:
        """Pull what was acknowledged, whole and in ranges, until time is up."""
        chosen = random.Random(-number)
        while time.monotonic() < self.until:
            with self.seen.lock:
                seed, size = chosen.choice(self.seen.blobs or [(0, 0)])
            if not size:
                time.sleep(0.1)
                continue
            first = chosen.choice((0, 0, size // 3))
            problem = read(self.registry, self.seen, random.Random(seed).randbytes(size), first)
            if problem:
                self.seen.wrong.append(problem)


def shown(error: Exception) -> str:
    """An error in a few words, the same for errors of one kind."""
    return str(error)[:12] if isinstance(error, Unexpected) else type(error).__name__


def stream(registry: Registry, content: bytes) -> None:
    """Push as docker does: one chunked PATCH, and an empty PUT."""
    answer = registry.request("PATCH", registry.begin(REPOSITORY), body=cut(content)).expect(202)
    registry.commit(registry.local(answer.headers["location"]), sha256(content))


def cut(content: bytes) -> Iterator[bytes]:
    """The content in small pieces."""
    for at in range(0, len(content), STREAM_BYTES):
        yield content[at : at + STREAM_BYTES]


def whole(registry: Registry, content: bytes) -> None:
    """Push with one POST."""
    target = f"/v2/{REPOSITORY}/blobs/uploads/?digest={urllib.parse.quote(sha256(content))}"
    registry.request("POST", target, body=content, headers=OCTETS).expect(201)


def pieces(registry: Registry, content: bytes) -> None:
    """Push in several PATCHes, and go on from where the status says after one that failed."""
    location, offset, failures = registry.begin(REPOSITORY), 0, 0
    while offset < len(content):
        piece = content[offset : offset + PIECE_BYTES]
        headers = OCTETS | {"Content-Range": f"{offset}-{offset + len(piece) - 1}"}
        try:
            answer = registry.request("PATCH", location, body=piece, headers=headers).expect(202)
        except (*BROKEN, Unexpected):
            failures += 1
            if failures == ATTEMPTS:
                raise
            time.sleep(PAUSE_SECONDS)
            answer = registry.request("GET", location).expect(204)
        location = registry.local(answer.headers["location"])
        last = int(answer.headers["range"].partition("-")[2])
        offset = last + 1 if last else 0
    registry.commit(location, sha256(content))


def read(registry: Registry, seen: Seen, content: bytes, first: int = 0) -> str:
    """Pull a blob from a byte on; what is wrong with the answer, if anything is."""
    target = f"/v2/{REPOSITORY}/blobs/{sha256(content)}"
    headers = {"Range": f"bytes={first}-"} if first else {}
    try:
        answer = registry.request("GET", target, headers=headers)
    except BROKEN as error:
        seen.count(f"pull: {shown(error)}")
        return ""
    if answer.status == 503 and "retry-after" in answer.headers:
        seen.count("pull: 503")
        return ""
    if answer.status not in (200, 206):
        return f"{target} is answered {answer.status}: {answer.body[:200]!r}"
    if answer.body != content[first:]:
        return f"{target} came with {len(answer.body)} wrong bytes from {first} on, of {len(content)}"
    seen.count("pulls")
    return ""


def prove(workspace: Workspace) -> str:
    """No pull gives wrong bytes, and what was acknowledged can be pulled once the faults end."""
    folder = workspace.folder("s3-faults")
    with OwnS3(folder / "s3") as own:
        settings = own.settings("faults")
        upstream = urllib.parse.urlsplit(settings["LADING_STORAGE__ENDPOINT_URL"]).netloc
        with Faults(upstream) as faults:
            settings["LADING_STORAGE__ENDPOINT_URL"] = f"http://{faults.address}"
            with Server(workspace, folder / "data", folder / "server.log", settings) as server:
                server.registry.timeout_seconds = 300
                seen, counts = load(server.registry, faults, workspace.rounds * ROUND_SECONDS)
                compare(server.registry, seen)
                server.verify()
                server.stop()
    kinds = sum(counts["kinds"].values())
    made = ", ".join(f"{count} {name}" for name, count in sorted(counts["faults"].items()))
    ended = ", ".join(f"{count} {name}" for name, count in sorted(seen.counts.items()))
    return f"{len(seen.blobs)} blobs acknowledged and read; {ended}; {kinds} requests to S3, faults: {made}"


def load(registry: Registry, faults: Faults, seconds: float) -> tuple[Seen, dict[str, dict[str, int]]]:
    """Push and pull with faults for so long; what was seen, and what the proxy counted."""
    seen = Seen()
    faults.order(f"faults {SHARE}")
    client = Load(registry, seen, time.monotonic() + seconds)
    with ThreadPoolExecutor(PUSHERS + PULLERS) as pool:
        running = [pool.submit(client.push, number) for number in range(PUSHERS)]
        running += [pool.submit(client.pull, number) for number in range(PULLERS)]
        for each in running:
            each.result()
    counts = faults.order("faults 0")
    check(not seen.wrong, f"{len(seen.wrong)} pulls were wrong: {seen.wrong[:3]}")
    if len(seen.blobs) < PUSHERS or sum(counts["faults"].values()) < 20:
        raise Inconclusive(f"{len(seen.blobs)} blobs and these faults prove nothing: {counts['faults']}")
    return seen, counts


def compare(registry: Registry, seen: Seen) -> None:
    """Everything acknowledged is there, byte for byte, at the first attempt."""
    after = Seen()
    for seed, size in seen.blobs:
        problem = read(registry, after, random.Random(seed).randbytes(size))
        if problem or set(after.counts) != {"pulls"}:
            raise Failed(f"acknowledged, and not there: {problem or dict(after.counts)}")
