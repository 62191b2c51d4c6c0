"""A bucket with many blobs is listed and checked in memory that does not grow with it."""

import contextlib
import dataclasses
import http.client
import json
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from proofs.bucket import OwnS3
from proofs.fault_proxy import Faults
from proofs.growth import Growth
from proofs.outcome import check
from proofs.registry import Registry, sha256
from proofs.server import Server
from proofs.workspace import Workspace

PUSHERS = 8
GROWTH_MIB = 20
TENTH = 10
OLD_SECONDS = 8  # it sweeps every two seconds
SWEEPS_SECONDS = 8
SAMPLE_SECONDS = 0.05
REPOSITORY = "many/blobs"
OCTETS = {"Content-Type": "application/octet-stream"}


def prove(workspace: Workspace) -> str:
    """`lading verify` and the sweep take as little memory with all blobs as with a tenth of them."""
    folder = workspace.folder("s3-many")
    with OwnS3(folder / "s3") as own:
        settings = own.settings("many")
        upstream = urllib.parse.urlsplit(settings["LADING_STORAGE__ENDPOINT_URL"]).netloc
        with Faults(upstream) as counter:
            settings["LADING_STORAGE__ENDPOINT_URL"] = f"http://{counter.address}"
            settings["LADING_LIMITS__UPLOAD_TTL"] = str(OLD_SECONDS)
            with Server(workspace, folder / "data", folder / "server.log", settings) as server:
                few, many = workspace.many_blobs // TENTH, workspace.many_blobs
                first = measure(server, counter, 0, few)
                second = measure(server, counter, few, many)
                server.stop()
    more = second.verify_mib - first.verify_mib
    check(more < GROWTH_MIB, f"verify took {first.verify_mib} MiB, and with all blobs {more} MiB more")
    check(second.sweep_mib < GROWTH_MIB, f"a worker that sweeps grew by {second.sweep_mib} MiB")
    check(0 < second.lists < 2 * first.lists, f"sweeps asked for {first.lists} lists, then for {second.lists}")
    return f"{few} blobs: {first}; {many} blobs: {second}"


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """What was seen with so many blobs: memory at most, and requests for a list."""

    verify_mib: int
    verify_seconds: float
    sweep_mib: int
    lists: int
    push_seconds: float

    def __str__(self) -> str:
        return (
            f"pushed in {self.push_seconds:.0f} s, verify {self.verify_mib} MiB, {self.verify_seconds:.0f} s, "
            f"a sweeping worker grew by {self.sweep_mib} MiB, {self.lists} lists in {SWEEPS_SECONDS} s"
        )


def measure(server: Server, counter: Faults, first: int, end: int) -> Measured:
    """Push more blobs, then look at what it takes to walk over all of them."""
    push_seconds = push(server.registry, first, end)
    time.sleep(1)
    before = counter.order("counts")["kinds"].get("list", 0)
    with Growth(server.memory_bytes) as memory:
        time.sleep(SWEEPS_SECONDS)
    lists = counter.order("counts")["kinds"].get("list", 0) - before
    began = time.monotonic()
    verify_mib = verify(server, end)
    seconds = time.monotonic() - began
    return Measured(verify_mib, seconds, memory.growth_bytes >> 20, lists, push_seconds)


def push(registry: Registry, first: int, end: int) -> float:
    """Push small blobs over a few connections; the seconds that it took."""
    began = time.monotonic()
    with ThreadPoolExecutor(PUSHERS) as pool:
        for each in [pool.submit(push_some, registry, range(first + at, end, PUSHERS)) for at in range(PUSHERS)]:
            each.result()
    return time.monotonic() - began


def push_some(registry: Registry, numbers: range) -> None:
    """Push blobs over one connection."""
    connection = http.client.HTTPConnection(registry.address, timeout=registry.timeout_seconds)
    path = f"/v2/{REPOSITORY}/blobs/uploads/"
    for number in numbers:
        content = b"blob %d" % number
        headers = OCTETS | {"Authorization": registry.authorization(path) or ""}
        connection.request("POST", f"{path}?digest={sha256(content)}", body=content, headers=headers)
        answer = connection.getresponse()
        words = answer.read()
        check(answer.status == 201, f"a push was answered {answer.status}: {words[:200]!r}")
    connection.close()


def verify(server: Server, blobs: int) -> int:
    """Check all that is stored; how much memory that took at most, in MiB."""
    most = 0
    with server.command("verify", "--json") as process:
        while process.poll() is None:
            most = max(most, resident_peak(process.pid))
            time.sleep(SAMPLE_SECONDS)
        report = json.loads(process.stdout.read() if process.stdout else b"")
    check(process.returncode == 0 and report["checked"] >= blobs, f"verify found {report}"[:300])
    check(most > 0, "nothing was measured")
    return most >> 10


def resident_peak(pid: int) -> int:
    """The most memory that a process had since it began to run its program, in KiB; 0 once it has ended.

    What wait4 tells counts the process that started it as well.
    """
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
