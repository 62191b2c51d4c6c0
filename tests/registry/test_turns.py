"""Turns of the root key: in the key file, or prepared by whoever runs the registry."""

from pathlib import Path

import pytest

from registry.config import Settings
from registry.turns import FileTurn, PreparedTurn, turn_of
from storage.keyfile import load_root_keys, make_root_key


@pytest.mark.parametrize(
    ("mode", "turn"), [("local", FileTurn), ("off", FileTurn), ("environment", PreparedTurn), ("aws-kms", PreparedTurn)]
)
def test_the_key_file_takes_turns_where_it_wraps(mode: str, turn: type) -> None:
    settings = Settings.model_validate({"encryption": {"mode": mode, "kms_key_id": "alias/lading"}})

    assert type(turn_of(settings)) is turn


async def test_a_turn_puts_the_next_key_first_and_ends_with_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    make_root_key(path)
    (before,) = load_root_keys(path)
    turn = FileTurn(path)

    await turn.begin()
    both = load_root_keys(path)
    await turn.end()

    assert both[1:] == (before,)
    assert load_root_keys(path) == both[:1]


async def test_an_interrupted_turn_is_gone_on_with(tmp_path: Path) -> None:
    """By another process, with the same next key."""
    path = tmp_path / "root.key"
    make_root_key(path)
    await FileTurn(path).begin()
    both = load_root_keys(path)
    turn = FileTurn(path)

    await turn.begin()
    assert load_root_keys(path) == both
    await turn.end()

    assert load_root_keys(path) == both[:1]


async def test_a_prepared_turn_touches_nothing() -> None:
    turn = PreparedTurn()

    await turn.begin()
    await turn.end()
