"""Log lines: JSON or console text on standard error, one write each, so that lines of several processes never mix.

- No value of a secret type (`SecretStr`, `SecretBytes`, `bytes`) is ever written.
- No control character reaches a terminal or splits a line: JSON escapes them, and so does the console text.
- A log that cannot be written never stops the server.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from pydantic import SecretBytes, SecretStr

_RICH_IS_LOADED = "rich" in sys.modules
if not _RICH_IS_LOADED:  # structlog loads rich where it is installed: 40 ms and 5 MB that no serving process needs
    sys.modules["rich"] = None  # type: ignore[assignment]  # None is how Python marks a module that must not be found
import structlog  # noqa: E402 (after the guard above)

if not _RICH_IS_LOADED:
    del sys.modules["rich"]

from registry.config import LogSettings  # noqa: E402 (after the guard above)
from storage.errors import StorageError  # noqa: E402 (after the guard above)

Write = Callable[[bytes], None]
Logger = structlog.typing.FilteringBoundLogger

_MASK: Final = "**********"
_STANDARD_ERROR: Final = 2
_LEVELS: Final = {name: getattr(logging, name.upper()) for name in ("debug", "info", "warning", "error")}
# Their details are whole requests and answers, with session tokens and secret keys of AWS.
_INDISCREET: Final = ("boto3", "botocore", "urllib3")
# C0, DEL and C1, line and paragraph separators, and what turns the direction of text
_CONTROL: Final = {
    code: f"\\u{code:04x}"
    for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}
_SHOWN_PARAMETERS: Final = frozenset(
    {"account", "artifactType", "client_id", "digest", "digest-algorithm", "from", "last", "mount", "n"}
    | {"ns", "scope", "service", "state", "tag"}
)


@dataclass(frozen=True, slots=True)
class Access:
    """One answered request."""

    request_id: str
    principal: str | None
    repository: str | None
    action: str | None
    remote: str | None
    method: str
    path: str
    query: str
    """Undecoded; only the parameters known to be harmless are written with their values."""
    status: int
    received_bytes: int
    sent_bytes: int
    seconds: float


def write_line(line: bytes) -> None:
    """Write one line to standard error in one system call; a reader that went away is ignored."""
    with suppress(OSError):
        os.write(_STANDARD_ERROR, line)


def configure(settings: LogSettings, write: Write = write_line) -> None:
    """Send every line of this process, the standard library's included, to one place in one format."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _add_time,
            _renderer(settings),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=lambda *_: _Lines(write),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Forward()]
    # what libraries find worth telling is our detail (Alembic: thirteen lines for one migration)
    root.setLevel(logging.DEBUG if settings.level == "debug" else max(logging.WARNING, _LEVELS[settings.level]))
    for name in _INDISCREET:
        logging.getLogger(name).setLevel(max(logging.WARNING, _LEVELS[settings.level]))


def logger(**bound: object) -> Logger:
    """Return a logger whose lines all carry these values."""
    return structlog.get_logger(**bound)  # type: ignore[no-any-return]  # structlog types it as Any


def log_failure(request_id: str, error: Exception) -> None:
    """Write why a request failed through no fault of its client, in words that its answer does not have."""
    words = error.words if isinstance(error, StorageError) else ""
    logger().warning("request failed", request_id=request_id, error=str(error), words=words)


def access_log(settings: LogSettings, write: Write = write_line) -> Callable[[Access], None] | None:
    """Return the function that writes one line for one request, None when they are off."""
    if not settings.access or _LEVELS[settings.level] > logging.INFO:
        return None
    render = _renderer(settings)

    def record(access: Access) -> None:
        line = render(None, "info", _event(access))
        write(line + b"\n")

    return record


def _event(access: Access) -> dict[str, object]:
    event: dict[str, object] = {"event": "request", "level": "info", "time": _now()}
    event |= {
        "request_id": access.request_id,
        "principal": access.principal,
        "repository": access.repository,
        "action": access.action,
        "remote": access.remote,
        "method": access.method,
        "path": access.path,
        "query": _visible(access.query) if access.query else None,
        "status": access.status,
        "received_bytes": access.received_bytes,
        "sent_bytes": access.sent_bytes,
        "milliseconds": round(access.seconds * 1000, 3),
    }
    return {name: value for name, value in event.items() if value is not None}


def _visible(query: str) -> str:
    """Keep the values of known parameters; of all others only the name, for it could be a token."""
    parts = (part.partition("=") for part in query.split("&"))
    return "&".join(f"{name}={value if name in _SHOWN_PARAMETERS else _MASK}" for name, _, value in parts)


Renderer = Callable[[Any, str, MutableMapping[str, Any]], bytes]


def _renderer(settings: LogSettings) -> Renderer:
    console = settings.format == "console" or (settings.format is None and sys.stderr.isatty())
    return _console if console else _json


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _add_time(_: object, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    event["time"] = _now()
    return event


def _json(_: object, __: str, event: MutableMapping[str, Any]) -> bytes:
    try:
        line = orjson.dumps(event, default=_text, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a lone surrogate, say: bytes that were no UTF-8 in a header
        line = orjson.dumps({name: _text(value).encode("utf-8", "replace").decode() for name, value in event.items()})
    if line.isascii() and b"\x7f" not in line:
        return line
    return line.decode().translate(_CONTROL).encode()  # JSON itself has only C0 escaped


def _console(_: object, __: str, event: MutableMapping[str, Any]) -> bytes:
    exception = event.pop("exception", None)
    time, level, name = event.pop("time"), event.pop("level"), event.pop("event")
    shown = " ".join(f"{key}={_escaped(value)}" for key, value in event.items())
    line = f"{time} {level:<7} {_escaped(name)} {shown}".rstrip()
    if exception:
        line += "".join(f"\n    {_escaped(row)}" for row in str(exception).splitlines())
    return line.encode("utf-8", "backslashreplace")


def _escaped(value: object) -> str:
    return _text(value).translate(_CONTROL)


def _text(value: object) -> str:
    """Write any value as text; of a secret or raw bytes nothing but that it was there."""
    return _MASK if isinstance(value, SecretStr | SecretBytes | bytes | bytearray | memoryview) else str(value)


class _Lines:
    """What structlog hands a rendered line to; it has one method under the name of each level."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def msg(self, line: bytes) -> None:
        self._write(line + b"\n")

    debug = info = warning = error = critical = msg


class _Forward(logging.Handler):
    """Hands the lines of libraries that log through the standard library to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        level = min(max(record.levelno, logging.DEBUG), logging.ERROR)
        structlog.get_logger().log(level, record.getMessage(), logger=record.name, exc_info=record.exc_info)
