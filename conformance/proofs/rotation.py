"""Keys take turns while clients push and pull: none of them notices, and what was turned out opens nothing."""

import base64
import dataclasses
import json
import os
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from proofs.bucket import Bucket
from proofs.canary import files_below
from proofs.damages import Objects
from proofs.outcome import Failed, Inconclusive, check
from proofs.registry import sha256
from proofs.server import Server
from proofs.turning import REPOSITORIES, Load
from proofs.unwrapping import WrappedKey, root_keys, wrapped_keys
from proofs.workspace import Workspace

WORKERS = 3
LEAST_SECONDS = 12  # an upload in pieces takes four
GRACE_SECONDS = "5"  # longer than a request of this load takes from looking a copy up to reading it
DOMAIN = "AES256"


def prove(workspace: Workspace) -> str:
    """Root keys and domain keys rotate, and content is encrypted anew, under a load that meets no error."""
    folder = workspace.folder("rotation")
    several = dataclasses.replace(workspace, workers=max(WORKERS, workspace.workers))
    with Server(several, folder / "data", folder / "server.log") as server:
        proof = Proof(server)
        server.lading("repo", "create", REPOSITORIES[-1], "--encryption", "KMS", "--kms-key", "alias/other")
        with Load(server.registry) as load:
            proof.rotate(workspace.rounds, load)
        check(not load.failures, f"{len(load.failures)} requests failed: {load.failures[:3]}")
        proof.reads_back(load)
        version = proof.has_the_new_version()
        proof.encrypts_all_anew(version)
        proof.reads_back(load)
        server.verify()
        opened = proof.old_roots_open_nothing()
        server.stop()
        proof.old_roots_are_forgotten()
        proof.no_server_starts_with(folder / "data" / "root.key")
        proof.reads_back(load)
        server.verify()
        server.stop()
    turned = ", ".join(f"{count} {name}" for name, count in sorted(proof.turned.items()))
    done = ", ".join(f"{count} {name}" for name, count in sorted(load.counts.items()) if name != "waits")
    return f"{turned}; meanwhile {done}; {opened}"


class Proof:
    """The steps on one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._file = server.data / "root.key"
        self._database = server.data / "registry.db"
        self._old: list[bytes] = []
        self._wrapped_before: list[WrappedKey] = []
        self.turned: Counter[str] = Counter()

    def rotate(self, rounds: int, load: Load) -> None:
        """Turn everything so often, and for as long as uploads need to span it."""
        until = time.monotonic() + LEAST_SECONDS
        while (self.turned["root rotations"] < rounds or time.monotonic() < until) and not load.failures:
            self._rotate_root()
            self._rotate_domain(DOMAIN)
            self._rotate_domain("alias/other")
            self._rotate_root()
            self._encrypt_anew()
        if not load.counts["uploads in pieces"] or not load.counts["pulls"]:
            raise Inconclusive(f"too little happened: {load.counts}")

    def reads_back(self, load: Load) -> None:
        """Everything acknowledged is there, with the right digest."""
        for repository, digest in load.blobs:
            self._server.registry.pull_blob(repository, digest)
        for repository, digest in load.images:
            self._server.registry.pull_manifest(repository, digest)

    def has_the_new_version(self) -> int:
        """What is pushed after a rotation is sealed with the next key; its version."""
        before = self._version_of(self._pushed())
        self._rotate_domain(DOMAIN)
        version = self._version_of(self._pushed())
        check(version == before + 1, f"version {before} is followed by {version} in headers")
        newest = max(int(str(each["version"])) for each in self._keys() if each["domain"] == DOMAIN)
        check(version == newest, f"a header has version {version}, `lading encryption list` {newest}")
        return version

    def encrypts_all_anew(self, version: int) -> None:
        """With nothing going on, every object of the domain gets the newest key."""
        status, said = self._server.outcome("encryption", "convert", "--domain", DOMAIN, "--grace", "0", "--json")
        check(status == 0, f"not all could be encrypted anew: {said}")
        keys = self._stored_keys()
        versions = Counter(self._version_of(key) for key in keys)
        check(set(versions) == {version}, f"headers have these versions: {versions}")
        shown = json.loads(self._server.lading("encryption", "show", DOMAIN, "--json"))
        late = [each for each in shown["versions"] if each["version"] != version and any(each["encrypts"].values())]
        check(not late, f"earlier keys encrypt something: {late}")

    def old_roots_open_nothing(self) -> str:
        """No key in the database is opened by a root key of before; all are by the one there is."""
        current = root_keys(self._file)
        check(len(current) == 1, f"the key file has {len(current)} keys")
        keys = list(wrapped_keys(self._database))
        opened = [key.name for key in keys if key.is_opened_by(current[0])]
        if len(opened) != len(keys) or len(keys) < len(self._old) // 2:
            raise Inconclusive(f"the root key opens {opened} of {[key.name for key in keys]}")
        wrong = [key.name for key in keys for old in self._old if key.is_opened_by(old)]
        check(not wrong, f"a root key of before opens {wrong}")
        return f"of {len(keys)} wrapped keys the root key opens all, {len(self._old)} of before open none"

    def old_roots_are_forgotten(self) -> None:
        """Nothing that root keys of before wrapped is left in any file of the stopped server."""
        contents = [path.read_bytes() for path in files_below(self._server.data) if "blobs" not in path.parts]
        unseen = {key.name for key in wrapped_keys(self._database) if not is_in(key, contents)}
        if unseen:
            raise Inconclusive(f"the search does not see what is there: {sorted(unseen)}")
        kept = {f"{key.name} by {key.root[:14]}" for key in self._wrapped_before if is_in(key, contents)}
        check(not kept, f"the files of the server still have what root keys of before wrapped: {sorted(kept)}")

    def no_server_starts_with(self, file: Path) -> None:
        """With a root key of before in its place the server says no, with the right one it starts."""
        aside = file.with_name("root.key.aside")
        shutil.copy2(file, aside)
        for old in (self._old[0], self._old[-1]):
            write_key(file, old)
            try:
                self._server.start()
            except Failed:
                continue
            raise Failed("a server starts with a root key of before")
        aside.replace(file)
        self._server.start()

    # -- steps ---------------------------------------------------------------------------------------------------

    def _rotate_root(self) -> None:
        before, wrapped = root_keys(self._file), list(wrapped_keys(self._database))
        self._server.lading("encryption", "rotate")
        after = root_keys(self._file)
        check(len(after) == 1 and after != before, "the key file has not one other key after a rotation")
        self._old += before
        self._wrapped_before += wrapped
        self.turned["root rotations"] += 1

    def _rotate_domain(self, domain: str) -> None:
        self._server.lading("encryption", "rotate", "--domain", domain)
        self.turned["domain rotations"] += 1

    def _encrypt_anew(self) -> None:
        words = ("encryption", "convert", "--domain", DOMAIN, "--grace", GRACE_SECONDS, "--json")
        status, said = self._server.outcome(*words)
        report = json.loads(said) if said.startswith("{") else {"failed": said}
        check(not report["failed"], f"re-encryption ends with {status}: {report['failed']}")
        self.turned["times encrypted anew"] += 1

    def _pushed(self) -> str:
        """The storage key of a blob that is pushed for the first time."""
        content = os.urandom(600_000)
        self._server.registry.push_blob(REPOSITORIES[0], content)
        return self._stored_keys(sha256(content))[0]

    def _stored_keys(self, digest: str = "") -> list[str]:
        asked = "SELECT storage_key FROM blob WHERE domain = ? AND state = 'stored' AND (digest = ? OR ? = '')"
        with closing(sqlite3.connect(self._database)) as database:
            return [str(row[0]) for row in database.execute(asked, (DOMAIN, digest, digest))]

    def _version_of(self, key: str) -> int:
        """The key version in the header of an object."""
        objects = Objects(self._server.data, Bucket.of_environment(), self._server.prefix)
        return int.from_bytes(objects.read(key)[32:36], "big")

    def _keys(self) -> list[dict[str, object]]:
        listed: list[dict[str, object]] = json.loads(self._server.lading("encryption", "list", "--json"))
        return listed


def is_in(key: WrappedKey, contents: Sequence[bytes]) -> bool:
    """Whether a wrapped key can be found, as it is or in base64."""
    return any(form in content for form in (key.wrapped, base64.b64encode(key.wrapped)) for content in contents)


def write_key(file: Path, key: bytes) -> None:
    """Put a root key in the place of another."""
    file.unlink()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(base64.b64encode(key) + b"\n")
