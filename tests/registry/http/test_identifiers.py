"""Names of requests."""

import re

from registry.http.identifiers import request_ids


def test_no_two_are_alike() -> None:
    draw = request_ids()

    ids = [draw() for _ in range(100_000)]

    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[0-9a-f]{16}", each) for each in ids)


def test_processes_draw_others() -> None:
    one, other = request_ids(), request_ids()

    assert {one() for _ in range(1000)}.isdisjoint({other() for _ in range(1000)})
