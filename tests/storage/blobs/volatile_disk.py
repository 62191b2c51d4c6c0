"""A simulated disk that can lose power: it knows which bytes and which names were synced.

What was synced survives a cut. What was not may survive or not, each file and each directory entry by itself, as a
`Survival` decides.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from storage.blobs.disk import FileOperations


class PowerCut(Exception):  # it is what happens to the disk, not an error of the store
    """The machine is off."""


@dataclass(eq=False)
class FileNode:
    """A file: its bytes in the page cache, and on the disk."""

    cached: bytes = b""
    synced: bytes = b""


@dataclass(eq=False)
class DirectoryNode:
    """A directory: its entries in the page cache, and on the disk."""

    cached: "dict[str, Node]" = field(default_factory=dict)
    synced: "dict[str, Node]" = field(default_factory=dict)


Node = FileNode | DirectoryNode


@dataclass(frozen=True)
class Survival:
    """Decides whether an unsynced change of a name, or of a file's bytes, is on the disk after the cut."""

    name: Callable[[], bool]
    content: Callable[[], bool]


class VolatileDisk(FileOperations):
    """Works on a real directory until its power ends; syncing the path `ignored_sync` does nothing."""

    def __init__(self, root: Path, *, operations_left: int, ignored_sync: str | None = None) -> None:
        self.operations_left = operations_left
        self._root = root
        self._tree = DirectoryNode()
        self._opened: dict[int, tuple[Path, Node]] = {}
        self._ignored_sync = ignored_sync

    def open(self, path: Path, flags: int) -> int:
        """Open, and perhaps create, a file."""
        self._spend()
        descriptor = super().open(path, flags)
        if flags & os.O_CREAT:
            self._directory(path.parent).cached.setdefault(path.name, FileNode())
        self._opened[descriptor] = (path, self._node(path))
        return descriptor

    def write(self, descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        """Write into the page cache."""
        self._spend()
        written = super().write(descriptor, buffers, offset)
        self._refresh(descriptor)
        return written

    def truncate(self, descriptor: int, length: int) -> None:
        """Cut off in the page cache."""
        self._spend()
        super().truncate(descriptor, length)
        self._refresh(descriptor)

    def sync(self, descriptor: int) -> None:
        """Put a file's bytes, or a directory's entries, on the disk."""
        self._spend()
        path, node = self._opened[descriptor]
        if path.relative_to(self._root).as_posix() == self._ignored_sync:
            return
        if isinstance(node, FileNode):
            node.synced = node.cached
        else:
            node.synced = dict(node.cached)

    def rename(self, source: Path, target: Path) -> None:
        """Move a name in the page cache; either directory may reach the disk without the other."""
        self._spend()
        super().rename(source, target)
        self._directory(target.parent).cached[target.name] = self._directory(source.parent).cached.pop(source.name)

    def unlink(self, path: Path) -> None:
        """Remove a name in the page cache."""
        self._spend()
        super().unlink(path)
        del self._directory(path.parent).cached[path.name]

    def mkdir(self, path: Path) -> None:
        """Make a directory in the page cache."""
        self._spend()
        super().mkdir(path)
        self._directory(path.parent).cached[path.name] = DirectoryNode()

    def survivors(self, target: Path, survival: Survival) -> None:
        """Fill an empty directory with what is on the disk when the power is back."""
        _restore(self._tree, target, survival)

    def _spend(self) -> None:
        if self.operations_left == 0:
            raise PowerCut
        self.operations_left -= 1

    def _refresh(self, descriptor: int) -> None:
        _, node = self._opened[descriptor]
        assert isinstance(node, FileNode)
        node.cached = os.pread(descriptor, os.fstat(descriptor).st_size, 0)

    def _node(self, path: Path) -> Node:
        node: Node = self._tree
        for name in path.relative_to(self._root).parts:
            assert isinstance(node, DirectoryNode)
            node = node.cached[name]
        return node

    def _directory(self, path: Path) -> DirectoryNode:
        node = self._node(path)
        assert isinstance(node, DirectoryNode)
        return node


def _restore(node: Node, path: Path, survival: Survival) -> None:
    if isinstance(node, FileNode):
        path.write_bytes(node.cached if survival.content() else node.synced)
        return
    path.mkdir(exist_ok=True)
    for name in sorted(node.cached.keys() | node.synced.keys()):
        before, after = node.synced.get(name), node.cached.get(name)
        entry = after if before is not after and survival.name() else before
        if entry is not None:
            _restore(entry, path / name, survival)
