"""Stored objects are changed behind the server's back: whoever pulls hears of it, and never gets a wrong byte."""

import dataclasses
import http.client
import json
import os
import random
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from enum import Enum

from proofs.bucket import Bucket, OwnS3
from proofs.damages import BLOB_BYTES, DAMAGES, SEGMENT_BYTES, Objects, Victim
from proofs.outcome import Failed, Inconclusive, check
from proofs.registry import Registry
from proofs.server import Server
from proofs.workspace import Workspace

HERE, ELSEWHERE = "tamper/here", "tamper/elsewhere"
READS = 8  # by chance every worker has then read it
GOOD_BLOBS = 20
METRIC = re.compile(r"^lading_damaged_objects_total\{.*\} ([0-9.]+)$", re.MULTILINE)
SPANS = (
    (0, 0),
    (0, 65_535),
    (SEGMENT_BYTES - 5, SEGMENT_BYTES + 5),
    (2 * SEGMENT_BYTES + 99_000, 2 * SEGMENT_BYTES + 300_000),
    (BLOB_BYTES - 100_000, BLOB_BYTES - 1),
)


class End(Enum):
    """How a pull ended."""

    RIGHT = "right bytes"
    REFUSED = "404"
    BROKEN = "broken off"


@dataclasses.dataclass(frozen=True, slots=True)
class Tampered:
    """A blob whose object was changed."""

    how: str
    content: bytes
    digest: str


def prove(workspace: Workspace) -> str:
    """Never a wrong byte, never a clean end; verify names what was changed, a push repairs it."""
    folder = workspace.folder("tamper")
    settings = {"LADING_STORAGE__BACKEND": "filesystem"}
    with Server(workspace, folder / "data", folder / "server.log", settings) as server:
        return Proof(server, None).run()


def prove_in_s3(workspace: Workspace) -> str:
    """The same with the objects of a bucket."""
    folder = workspace.folder("s3-tamper")
    with OwnS3(folder / "s3") as own:
        settings = own.settings("tamper")
        with Server(workspace, folder / "data", folder / "server.log", settings) as server:
            return Proof(server, Bucket(settings)).run()


class Proof:
    """The steps on one server."""

    def __init__(self, server: Server, bucket: Bucket | None) -> None:
        self._server = server
        self._registry = server.registry
        self._objects = Objects(server.data, bucket, server.prefix)
        self._ends: Counter[End] = Counter()

    def run(self) -> str:
        """All of them; what was seen."""
        for name, domain in ((HERE, "alias/here"), (ELSEWHERE, "alias/other")):
            self._server.lading("repo", "create", name, "--encryption", "KMS", "--kms-key", domain)
        for _ in range(GOOD_BLOBS):
            self._registry.push_blob(HERE, os.urandom(random.choice((1, 5000, 700_000))))
        self._server.verify()
        self.found_by_verify()
        found = self.found_by_pulls(SPANS) + self.found_by_pulls(())
        self.found_after_pulls()
        self.older_object()
        self.told(found)
        self._server.verify()
        self._server.stop()
        ends = ", ".join(f"{count} {end.value}" for end, count in self._ends.items())
        return f"{len(DAMAGES)} ways, each four times: pulls ended with {ends}; verify named each, pushes repaired all"

    # -- the rounds ----------------------------------------------------------------------------------------------

    def found_by_verify(self) -> None:
        """Nobody pulls before verify looks."""
        tampered = list(self._tamper(reads=0))
        self._verify_names(tampered)
        for each in tampered:
            self._is_gone_until_pushed(each)

    def found_by_pulls(self, spans: Sequence[tuple[int, int]]) -> list[Tampered]:
        """Spans, then the whole, of what no worker read before."""
        tampered = list(self._tamper(reads=0))
        for each in tampered:
            for span in spans:
                self._pull(each, span)
            end = self._pull(each)
            check(end is not End.RIGHT, f"{each.how}: a pull ended as if nothing was wrong")
            self._is_gone_until_pushed(each)
        return tampered

    def found_after_pulls(self) -> None:
        """What every worker has read before, and remembers things of."""
        tampered = list(self._tamper(reads=READS))
        for each in tampered:
            for span in (*SPANS, None):
                self._pull(each, span)
        self._verify_names(tampered)
        for each in tampered:
            self._is_gone_until_pushed(each)

    def older_object(self) -> None:
        """An object of before, of the same bytes, is as good as the one in whose place it is put."""
        content = os.urandom(BLOB_BYTES)
        digest = self._registry.push_blob(HERE, content)
        self._registry.push_blob(ELSEWHERE, content)
        before = self._objects.read(self._key(digest))
        each = Tampered("older object", content, digest)
        self._objects.write(self._key(digest), bytes(BLOB_BYTES))
        self._pull(each)
        self._is_gone_until_pushed(each)
        check(self._objects.read(self._key(digest)) != before, "two objects of the same bytes are alike")
        self._objects.write(self._key(digest), before)
        if self._pull(each) is not End.RIGHT:
            self._registry.push_blob(HERE, content)

    def told(self, found: list[Tampered]) -> None:
        """The metric and the audit trail know of what pulls found."""
        answer = self._registry.exchange("GET", "/metrics", {}).expect(200)
        count = sum(float(value) for value in METRIC.findall(answer.body.decode()))
        check(count >= len(found), f"the metric counts {count} damaged objects, pulls found {len(found)} at least")
        events = [json.loads(line) for line in self._server.lading("audit", "export").splitlines()]
        damaged = [event["details"]["digest"] for event in events if event["event"] == "damage"]
        missing = [each.how for each in found if damaged.count(each.digest) != 1]
        check(not missing, f"the audit trail has no event, or several, of: {missing}")
        check(len(damaged) == count, f"{len(damaged)} events, and the metric counts {count}")

    # -- steps ---------------------------------------------------------------------------------------------------

    def _tamper(self, *, reads: int) -> Iterator[Tampered]:
        """Push a blob for each kind of damage, and do it."""
        other = self._registry.push_blob(HERE, os.urandom(BLOB_BYTES))
        for how, damage in DAMAGES.items():
            content = os.urandom(BLOB_BYTES)
            digest = self._registry.push_blob(HERE, content)
            self._registry.push_blob(ELSEWHERE, content)
            for _ in range(reads):
                self._registry.pull_blob(HERE, digest)
            sealed = self._objects.read(self._key(digest))
            foreign = self._objects.read(self._key(digest, "alias/other"))
            victim = Victim(sealed, content, self._objects.read(self._key(other)), foreign)
            changed = damage(victim)
            if changed == sealed or content[:16] in sealed:
                raise Inconclusive(f"{how} changes nothing, or nothing is sealed")
            self._objects.write(self._key(digest), changed)
            yield Tampered(how, content, digest)

    def _key(self, digest: str, domain: str = "alias/here") -> str:
        """Where the object that is served of a blob lies, as the registry's records tell."""
        with closing(sqlite3.connect(self._server.data / "registry.db")) as database:
            asked = "SELECT storage_key FROM blob WHERE digest = ? AND domain = ? AND state = 'stored'"
            return str(database.execute(asked, (digest, domain)).fetchone()[0])

    def _verify_names(self, tampered: list[Tampered]) -> None:
        status, report = self._server.outcome("verify", "--json")
        named = sorted(each["digest"] for each in json.loads(report)["bad"])
        check(status == 1, f"verify exits with {status}")
        how = {each.digest: each.how for each in tampered}
        missed = [how[digest] for digest in how if digest not in named]
        check(named == sorted(how), f"verify misses {missed}, and names {len(named)} of {len(how)}")

    def _is_gone_until_pushed(self, each: Tampered) -> None:
        path = f"/v2/{HERE}/blobs/{each.digest}"
        status = self._registry.request("HEAD", path).status
        check(status == 404, f"{each.how}: HEAD answers {status} afterwards")
        self._registry.push_blob(HERE, each.content)
        check(self._registry.pull_blob(HERE, each.digest) == each.content, f"{each.how}: not repaired")
        check(self._registry.pull_blob(ELSEWHERE, each.digest) == each.content, f"{each.how}: the other domain's too")

    def _pull(self, each: Tampered, span: tuple[int, int] | None = None) -> End:
        """Pull a blob or a span of it; raises Failed for a wrong byte."""
        first, last = span or (0, len(each.content) - 1)
        headers = {"Range": f"bytes={first}-{last}"} if span else {}
        status, body, is_whole = fetch(self._registry, f"/v2/{HERE}/blobs/{each.digest}", headers)
        end = End.REFUSED
        if status != 404:
            what = f"{each.how}, {span or 'whole'}"
            check(status == (206 if span else 200), f"{what}: answers {status} {body[:200]!r}")
            check(each.content[first : last + 1].startswith(body), f"{what}: wrong bytes among {len(body)}")
            is_all = len(body) == last + 1 - first
            check(is_all or not is_whole, f"{what}: a clean end after {len(body)} bytes")
            end = End.RIGHT if is_all else End.BROKEN
        self._ends[end] += 1
        return end


def fetch(registry: Registry, path: str, headers: Mapping[str, str]) -> tuple[int, bytes, bool]:
    """The status, what came of the body, and whether it ended as it should."""
    connection = http.client.HTTPConnection(registry.address, timeout=registry.timeout_seconds)
    try:
        connection.request("GET", path, headers={**headers, "Authorization": registry.authorization(path) or ""})
        answer = connection.getresponse()
        try:
            return answer.status, answer.read(), True
        except http.client.IncompleteRead as error:
            return answer.status, error.partial, False
        except ConnectionResetError:
            return answer.status, b"", False
    except http.client.HTTPException as error:
        raise Failed(f"{path} is answered with no HTTP: {error!r}") from error
    finally:
        connection.close()
