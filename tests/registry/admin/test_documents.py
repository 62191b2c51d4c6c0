"""The texts of policies that were sent as objects."""

import json
import time
from typing import Any

from registry.admin.documents import policy_text

ALLOW: dict[str, Any] = {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}


def test_an_object_is_kept_as_people_write_it() -> None:
    assert policy_text({"Version": "2012-10-17", "Statement": [ALLOW]}).splitlines()[:3] == [
        "{",
        '  "Version": "2012-10-17",',
        '  "Statement": [',
    ]


def test_an_object_too_large_for_a_policy_takes_no_more_room_than_it_was_sent_in() -> None:
    """Written as people write it, what nests deep would take two hundred times as much, and seconds."""
    nested: Any = [0] * 100_000
    for _ in range(190):
        nested = [nested]
    began = time.thread_time()

    text = policy_text({"Statement": nested})

    assert time.thread_time() - began < 1
    assert len(text) < 210_000
    assert json.loads(text) == {"Statement": nested}
