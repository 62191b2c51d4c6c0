"""Content of both kinds, for tests that hold for either."""

from typing import Any

import pytest

plain = pytest.mark.settings(encryption={"mode": "off"})
sealed = pytest.mark.settings(encryption={"mode": "local"})


def plain_and_sealed(**sections: Any) -> pytest.MarkDecorator:
    """Run a test with content of both kinds, and with these settings."""
    modes = {"plain": "off", "sealed": "local"}
    marks = {name: pytest.mark.settings(encryption={"mode": mode}, **sections) for name, mode in modes.items()}
    return pytest.mark.parametrize("mode", [pytest.param(name, marks=mark) for name, mark in marks.items()])
