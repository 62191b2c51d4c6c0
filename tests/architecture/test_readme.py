"""What a person reads first is true."""

import pytest

from registry.__main__ import COMMANDS
from registry.config import Settings
from registry.config_values import Section
from tests.architecture.source import PROJECT

_SECTIONS = {name: field.annotation for name, field in Settings.model_fields.items() if name != "dev"}


@pytest.mark.parametrize("section", sorted(_SECTIONS))
def test_the_readme_lists_every_setting(section: str) -> None:
    readme = (PROJECT / "README.md").read_text()
    row = next(line for line in readme.splitlines() if line.startswith(f"| `{section}` |"))
    model = _SECTIONS[section]

    assert isinstance(model, type)
    assert issubclass(model, Section)
    assert [key for key in model.model_fields if f"`{key}`" not in row] == []


def test_the_readme_lists_every_command() -> None:
    readme = (PROJECT / "README.md").read_text()

    assert [name for name in COMMANDS if f"`lading {name}" not in readme] == []
