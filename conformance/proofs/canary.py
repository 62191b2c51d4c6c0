"""Recognisable content is pushed in every way there is, and looked for in everything that the server leaves anywhere.

The same is done first without encryption, and must be found then: else the search would prove nothing.
"""

import dataclasses
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from proofs.bucket import Bucket, OwnS3
from proofs.needles import Needle, Search, try_the_search
from proofs.outcome import Inconclusive, check
from proofs.registry import CONFIG, LAYER, MANIFEST, Registry, sha256
from proofs.server import Server
from proofs.unfinished import HeldOpen, Unfinished
from proofs.workspace import Workspace

TEMPORARY = tuple(map(Path, ("/tmp", "/var/tmp", "/dev/shm")))
SMALL_BYTES = 100_000  # fewer than a segment has
LARGE_BYTES = 1_700_000  # several segments and a tail
LARGE_BYTES_IN_S3 = (20 << 20) + 100_000  # parts, a rest that is none, and a tail
REPOSITORY = "canary/image"
MODES = ("off", "local")
PLANTED = "planted"
FINISHED = ("layer", "config", "annotation")
LEFT = ("PATCH", "broken connection", "open PATCH", "killed worker")
# what is in the memory of a worker alone, where content is in a bucket
UNSEEN_IN_S3 = frozenset({"open PATCH, small", "killed worker, small"})


@dataclasses.dataclass(frozen=True, slots=True)
class Ground:
    """Where one run takes place."""

    folder: Path
    began: float
    settings: Mapping[str, str]
    bucket: Bucket | None = None
    bucket_disk: Path | None = None

    def places(self) -> Iterator[tuple[str, Path]]:
        """Every file that the server may have written, with a name for the kind of place."""
        for path in files_below(self.folder):
            yield kind_of(path.relative_to(self.folder)), path
        for temporary in TEMPORARY:
            for path in files_below(temporary, without=self.folder.parent):
                if path.stat().st_mtime >= self.began:
                    yield str(temporary), path


@dataclasses.dataclass(slots=True)
class Found:
    """Which needles were found, and in what kinds of places; and how much was searched."""

    needles: dict[str, set[str]] = dataclasses.field(default_factory=dict)
    files: int = 0
    objects: int = 0

    def add(self, needle: str, place: str) -> None:
        """Write one down."""
        self.needles.setdefault(needle, set()).add(place)

    @property
    def places(self) -> set[str]:
        """All kinds of places."""
        return {place for places in self.needles.values() for place in places}


def files_below(folder: Path, without: Path | None = None) -> Iterator[Path]:
    """Every regular file below a folder, but for those below another."""
    for root, folders, names in os.walk(folder):
        if without is not None and Path(root) == without:
            folders.clear()
            continue
        yield from (path for path in map(Path(root).joinpath, names) if path.is_file() and not path.is_symlink())


def kind_of(path: Path) -> str:
    """What a file of the run's folder is, as the report names it."""
    if path.parts[:1] == ("s3",):
        return "multipart uploads on the disk of S3" if "multipart" in path.parts else "the disk of S3"
    if path.parts[:1] == ("data",):
        return path.parts[1].removesuffix("-wal").removesuffix("-shm")
    return path.parts[0]


def prove(workspace: Workspace) -> str:
    """Nothing of what was pushed can be read in a file that the server leaves, whatever it was doing."""
    folder = workspace.folder("canary")
    settings = {"LADING_STORAGE__BACKEND": "filesystem"}
    told = [run(workspace, ground(folder / mode, settings), mode) for mode in MODES]
    return "; ".join(told)


def prove_in_s3(workspace: Workspace) -> str:
    """The same with content in a bucket, whose objects and disk are searched."""
    folder = workspace.folder("s3-canary")
    told = []
    for mode in MODES:
        with OwnS3(folder / mode / "s3") as own:
            settings = own.settings("canary")
            told.append(run(workspace, ground(folder / mode, settings, Bucket(settings), own.data), mode))
    return "; ".join(told)


def ground(
    folder: Path, settings: Mapping[str, str], bucket: Bucket | None = None, bucket_disk: Path | None = None
) -> Ground:
    """A fresh folder to run in."""
    (folder / "tmp").mkdir(parents=True)
    return Ground(folder, time.time() - 1, {**settings, "TMPDIR": str(folder / "tmp")}, bucket, bucket_disk)


def run(workspace: Workspace, place: Ground, mode: str) -> str:
    """Push, leave, kill and stop, and search after each; what was seen, in a few words."""
    try_the_search()
    sizes = {"small": SMALL_BYTES, "segments": LARGE_BYTES if place.bucket is None else LARGE_BYTES_IN_S3}
    left = [f"{how}, {size}" for how in LEFT for size in sizes]
    needles = {name: Needle() for name in (PLANTED, *FINISHED, *left)}
    search, found = Search(needles), Found()
    see_temporary_directories(search, place, needles[PLANTED])
    settings = {**place.settings, "LADING_ENCRYPTION__MODE": mode}
    with Server(workspace, place.folder / "data", place.folder / "server.log", settings) as server, ExitStack() as held:
        push_image(server.registry, needles)
        for size, length in sizes.items():
            contents = {how: needles[f"{how}, {size}"].content(length) for how in LEFT}
            leave_uploads(server, contents, held)
        look(search, place, server, found)  # while it runs, and bodies are on their way
        server.kill()
        look(search, place, server, found)  # with what SQLite leaves of its WAL
        server.start()
        look(search, place, server, found)
        server.verify()
        server.stop()
        look(search, place, server, found)
    return judged(mode, found, set(FINISHED) | set(left), place)


def judged(mode: str, found: Found, all_of_them: set[str], place: Ground) -> str:
    """Say what was seen; raises Failed or Inconclusive where that is not what should be."""
    searched = f"{found.files} files" + (f" and {found.objects} objects" if place.bucket else "")
    if mode != "off":
        check(not found.needles, f"content can be read: {shown(found)}")
        return f"sealed: nothing of {len(all_of_them)} patterns in {searched}"
    unseen = all_of_them - set(found.needles) - (UNSEEN_IN_S3 if place.bucket else set())
    expected = {"registry.db", "blobs", "uploads"}
    if place.bucket:
        expected = {"registry.db", "objects in blobs", "objects in uploads", "multipart uploads on the disk of S3"}
    if unseen or expected - found.places:
        raise Inconclusive(f"without encryption nothing is seen of {unseen}, nor in {expected - found.places}")
    return f"plain: {len(found.needles)} patterns seen, in {', '.join(sorted(found.places))}, {searched}"


def shown(found: Found) -> str:
    """What was found where."""
    return ", ".join(f"{needle} in {sorted(places)}" for needle, places in sorted(found.needles.items()))


def see_temporary_directories(search: Search, place: Ground, planted: Needle) -> None:
    """Raise Inconclusive unless a file in each of these would be seen."""
    for temporary in TEMPORARY:
        path = temporary / f"lading-canary.{os.getpid()}"
        path.write_bytes(planted.content(SMALL_BYTES))
        try:
            seen = search.in_files(each for kind, each in place.places() if kind == str(temporary))
        finally:
            path.unlink()
        if path not in seen.get(PLANTED, []):
            raise Inconclusive(f"a file in {temporary} is not seen")


def look(search: Search, place: Ground, server: Server, found: Found) -> None:
    """Search everything there is at this moment."""
    kinds = {path: kind for kind, path in place.places()}
    for needle, paths in search.in_files(kinds).items():
        for path in paths:
            found.add(needle, kinds[path])
    found.files += len(kinds)
    if place.bucket is None:
        return
    for key in place.bucket.sizes(server.prefix):
        found.objects += 1
        for needle in search.in_bytes(place.bucket.read(key)):
            found.add(needle, f"objects in {key.removeprefix(server.prefix).partition('/')[0]}")


def push_image(registry: Registry, needles: Mapping[str, Needle]) -> None:
    """Push an image, and an artifact that refers to it with an annotation."""
    layer = needles["layer"].content(LARGE_BYTES)
    config = json.dumps({"os": "linux", "config": {"Labels": {"canary": needles["config"].text * 3}}}).encode()
    registry.push_blob(REPOSITORY, layer)
    registry.push_blob(REPOSITORY, config)
    image = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(CONFIG, config),
        "layers": [described(LAYER, layer)],
        "annotations": {"canary": needles["annotation"].text},
    }
    pushed = json.dumps(image).encode()
    registry.push_manifest(REPOSITORY, "latest", pushed)
    artifact = image | {"subject": described(MANIFEST, pushed), "artifactType": "text/canary"}
    registry.push_manifest(REPOSITORY, sha256(json.dumps(artifact).encode()), json.dumps(artifact).encode())


def described(media_type: str, content: bytes) -> dict[str, object]:
    """A descriptor."""
    return {"mediaType": media_type, "digest": sha256(content), "size": len(content)}


def leave_uploads(server: Server, contents: Mapping[str, bytes], held: ExitStack) -> None:
    """Begin uploads and finish none; the connection of one stays open."""
    Unfinished(server, REPOSITORY, contents["killed worker"]).kill_worker()
    Unfinished(server, REPOSITORY, contents["PATCH"]).patch()
    Unfinished(server, REPOSITORY, contents["broken connection"]).break_off()
    held.enter_context(HeldOpen(Unfinished(server, REPOSITORY, contents["open PATCH"])))
