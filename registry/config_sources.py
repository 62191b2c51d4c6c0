"""Where settings come from: flags, then the environment, then a TOML file, then defaults.

- A key that does not exist is refused by name, whichever source it stands in.
- Every value that is not a default has an origin, for messages and for `lading config show`.
"""

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource

from registry.config import Settings, SettingsInvalid

PREFIX = "LADING_"


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Valid settings, and for each key (`server.listen`) that is not a default the source it came from."""

    settings: Settings
    origins: Mapping[str, str]


def sections() -> dict[str, type[BaseModel]]:
    """List the sections by name, in the order of the documentation."""
    found = {}
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found[name] = field.annotation
    return found


def known_keys() -> list[str]:
    """Every key, as `server.listen`; `dev` stands alone."""
    return ["dev", *(f"{name}.{key}" for name, section in sections().items() for key in section.model_fields)]


def load(flags: Mapping[str, object], file: Path | None = None) -> LoadedSettings:
    """Merge all sources into valid settings; flags are keyed `server.listen`. Raises SettingsInvalid."""
    layers = [(_FLAG, dict(flags)), (_ENVIRONMENT, _environment())]
    if file is not None:
        layers.append((file.name, _table(file)))
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    problems: list[str] = []
    known = known_keys()
    for origin, layer in layers:
        problems += [_unknown(key, origin, known) for key in layer if key not in known]
        for key, value in layer.items():
            if key not in values:
                values[key], origins[key] = value, origin
    if problems:
        raise SettingsInvalid("\n".join(problems))
    return LoadedSettings(_build(values, origins), origins)


_FLAG = "flag"
_ENVIRONMENT = "environment"


def _build(values: Mapping[str, object], origins: Mapping[str, str]) -> Settings:
    nested: dict[str, dict[str, object]] = {}
    alone: dict[str, object] = {}
    for key, value in values.items():
        section, dot, name = key.partition(".")
        if dot:
            nested.setdefault(section, {})[name] = value
        else:
            alone[section] = value
    try:
        return Settings.model_validate(nested | alone)
    except ValidationError as error:
        raise SettingsInvalid("\n".join(_problems(error, origins))) from error


def _problems(error: ValidationError, origins: Mapping[str, str]) -> Iterator[str]:
    """One line for each problem: the key, what is wrong, and where the value came from."""
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        key = ".".join(str(part) for part in found["loc"][:2])
        message = found["msg"].removeprefix("Value error, ")
        origin = f" ({_place(key, origins[key])})" if key in origins else ""
        yield f"{key}: {message}{origin}" if key else message


def _place(key: str, origin: str) -> str:
    return f"environment {_variable(key)}" if origin == _ENVIRONMENT else origin


def _variable(key: str) -> str:
    return PREFIX + key.replace(".", "__").upper()


def _unknown(key: str, origin: str, known: Iterable[str]) -> str:
    by_environment = origin == _ENVIRONMENT
    close = get_close_matches(key, known, n=1, cutoff=0.6)
    hint = f"did you mean {_variable(close[0]) if by_environment else close[0]}?" if close else "see lading config show"
    name = f"{_variable(key)} in the environment" if by_environment else f"{key} ({origin})"
    return f"there is no setting {name}: {hint}"


def _environment() -> dict[str, object]:
    """Read the variables that are meant for us, known or not; an empty one counts as not set."""
    found = _flatten(EnvSettingsSource(Settings)())
    names = tuple(sections())
    for variable, value in os.environ.items():
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or not value or name == "dev":
            continue
        section, double, key = name.partition("__")
        if double and section not in names:
            found[f"{section}.{key}"] = value
        elif not double and name.partition("_")[0] in names:  # LADING_SERVER_LISTEN for LADING_SERVER__LISTEN
            found[name] = value
    return found


def _table(file: Path) -> dict[str, object]:
    try:
        return _flatten(tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        msg = f"cannot read the configuration file {file}: {error.strerror}"
        raise SettingsInvalid(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"the configuration file {file} is not valid TOML: {error}"
        raise SettingsInvalid(msg) from error


def _flatten(table: Mapping[str, object]) -> dict[str, object]:
    """`{"server": {"listen": x}}` as `{"server.listen": x}`."""
    flat: dict[str, object] = {}
    for section, content in table.items():
        if isinstance(content, Mapping):
            flat.update({f"{section}.{key}": value for key, value in content.items()})
        else:
            flat[section] = content
    return flat
