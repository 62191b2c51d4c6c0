"""Rows of blobs and images: pulled, read in part, and pushed in every shape; and a few of them over TLS."""

from dataclasses import replace

from bench.images import pulling_images, pushing_images
from bench.load import Shape
from bench.loads import Load
from bench.speed.competitors import ALL, TLS, TLS_ENDING, WITH_PEERS
from bench.transfers import pulling, pushing, ranges

_IMAGES = 8
# how many blobs each connection pulls, by their size in MiB and the number of connections: a second's worth at least,
# for what begins a load is not what is measured
_PULLS = {(1, 1): 1200, (1, 8): 250, (1, 32): 60, (100, 1): 30, (100, 8): 5, (100, 32): 2}
_PUSHES = {
    (1, 1): 100,
    (1, 8): 40,
    (1, 32): 10,
    (10, 1): 24,
    (10, 8): 8,
    (10, 32): 3,
    (100, 1): 6,
    (100, 8): 1,
    (100, 32): 1,
}
_QUICK_PULLS = ((1, 8), (100, 1), (100, 8))
_QUICK_PUSHES = ((1, 8), (10, 8), (100, 1), (100, 8))
_SHAPES = (Shape.MONOLITHIC, Shape.PIECES, Shape.CHUNKED)
_LARGE_MIB = 100
_TLS_PULLS = ((1, 8), (100, 1), (100, 8))
_TLS_PUSHES = ((1, 8), (100, 8))


def pull_rows(*, is_quick: bool) -> list[Load]:
    """Blobs of 1 and 100 MiB, and a MiB of a large one."""
    chosen = _QUICK_PULLS if is_quick else tuple(_PULLS)
    rows = [pulling(ALL, mebibytes, at_once, _PULLS[mebibytes, at_once]) for mebibytes, at_once in chosen]
    return [*rows, ranges(ALL, _LARGE_MIB, 100 if is_quick else 300)]


def push_rows(*, is_quick: bool) -> list[Load]:
    """Blobs of 1, 10 and 100 MiB in every shape; sealed ones where they are large."""
    chosen = [(shape, key) for shape in _SHAPES for key in _PUSHES]
    if is_quick:
        chosen = [(Shape.MONOLITHIC, key) for key in _QUICK_PUSHES]
        chosen += [(Shape.PIECES, (100, 8)), (Shape.CHUNKED, (10, 8))]
    return [
        pushing(ALL if mebibytes == _LARGE_MIB else WITH_PEERS, mebibytes, at_once, _PUSHES[mebibytes, at_once], shape)
        for shape, (mebibytes, at_once) in chosen
    ]


def blob_tls_rows(*, is_quick: bool) -> list[Load]:
    """Blobs of 1 and 100 MiB over TLS."""
    rows = [pulling(TLS, *key, _PULLS[key]) for key in (_TLS_PULLS[-1:] if is_quick else _TLS_PULLS)]
    if not is_quick:
        rows += [pushing(TLS, *key, _PUSHES[key], Shape.MONOLITHIC) for key in _TLS_PUSHES]
    return [replace(row, name=row.name + TLS_ENDING) for row in rows]


def image_rows() -> list[Load]:
    """Whole images, pushed and pulled as docker does it."""
    return [pushing_images(WITH_PEERS, _IMAGES), pulling_images(WITH_PEERS, _IMAGES)]
