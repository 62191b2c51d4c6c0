"""The settings as text: TOML that `--config` reads back, or JSON; secrets are masked in both."""

import json
from collections.abc import Iterator, Mapping
from typing import cast

from registry.config import Settings
from registry.config_sources import LoadedSettings, sections

_MASK = "**********"


def toml_text(loaded: LoadedSettings) -> str:
    """Every key with its description, value and origin; what is not set or secret is commented out."""
    values = _values(loaded.settings)
    lines = _lines("", "dev", values["dev"], Settings.model_fields["dev"].description, loaded.origins)
    for name, section in sections().items():
        lines += ["", f"[{name}]"]
        content = cast("dict[str, object]", values[name])
        for key, field in section.model_fields.items():
            lines += _lines(f"{name}.", key, content[key], field.description, loaded.origins)
    return "\n".join(lines) + "\n"


def json_text(loaded: LoadedSettings) -> str:
    """Every value under its section, and `origins` for those that are not defaults."""
    document = {"settings": _values(loaded.settings), "origins": dict(loaded.origins)}
    # In ASCII: a path may hold what is no text.
    return json.dumps(document, indent=2) + "\n"


def listed(settings: Settings) -> list[dict[str, object]]:
    """Every setting with its key, value and description, and whether the value is the default."""
    values, defaults = _values(settings), _values(Settings())
    found = []
    for name, section in sections().items():
        content, usual = cast("dict[str, object]", values[name]), cast("dict[str, object]", defaults[name])
        found += [
            {
                "key": f"{name}.{key}",
                "value": content[key],
                "is_default": content[key] == usual[key],
                "description": field.description or "",
            }
            for key, field in section.model_fields.items()
        ]
    return found


def _values(settings: Settings) -> dict[str, object]:
    return cast("dict[str, object]", settings.model_dump(mode="json"))


def _lines(prefix: str, key: str, value: object, description: str | None, origins: Mapping[str, str]) -> list[str]:
    return list(_key_lines(key, value, description, origins.get(prefix + key, "default")))


def _key_lines(key: str, value: object, description: str | None, origin: str) -> Iterator[str]:
    if description:
        yield f"# {description}"
    if value is None:
        yield f"# {key} is not set"
    elif value == _MASK:
        yield f'# {key} = "{_MASK}"  # {origin}'
    else:
        yield f"{key} = {_value(value)}  # {origin}"


def _value(value: object) -> str:
    """Write a TOML value: JSON writes texts, whole numbers, booleans and lists of texts the same way."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False)
