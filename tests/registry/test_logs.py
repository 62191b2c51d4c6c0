"""Log lines: their two formats, and what never stands in them."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr

from registry import logs
from registry.config import LogSettings
from registry.logs import Access

ACCESS = Access(
    request_id="01J",
    principal="admin",
    repository="library/app",
    action="pull",
    remote="192.0.2.1",
    method="GET",
    path="/v2/library/app/tags/list",
    query="n=3&token=hunter2&last=v1",
    status=200,
    received_bytes=0,
    sent_bytes=12,
    seconds=0.0015,
)


@pytest.fixture
def lines() -> Iterator[list[bytes]]:
    """Collect what is written, and leave the logging of the test run as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield []
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_line(lines: list[bytes]) -> None:
    """One line is one JSON object."""
    logs.configure(LogSettings(format="json"), lines.append)

    logs.logger(worker=1).info("said\n", what="a\x1b[31m\x7f\x9b\u202e")

    assert lines[0].count(b"\n") == 1
    assert b"\\u001b" in lines[0]
    assert b"\\u007f\\u009b\\u202e" in lines[0]
    line = json.loads(lines[0])
    assert (line["event"], line["level"], line["worker"], line["what"]) == (
        "said\n",
        "info",
        1,
        "a\x1b[31m\x7f\x9b\u202e",
    )


def test_console_line_escapes_what_would_move_the_cursor(lines: list[bytes]) -> None:
    """A name with control characters cannot forge a second line."""
    logs.configure(LogSettings(format="console"), lines.append)

    logs.logger().warning("said", what="a\r\nb\x1b[2J")

    assert lines[0].endswith(b" warning said what=a\\u000d\\u000ab\\u001b[2J\n")


@pytest.mark.parametrize("kind", ["json", "console"])
def test_secrets_are_masked_by_type(kind: str, lines: list[bytes]) -> None:
    """Nobody has to remember which values are secret."""
    logs.configure(LogSettings.model_validate({"format": kind}), lines.append)

    logs.logger().info("said", password=SecretStr("hunter2"), key=b"hunter2", nested={"p": SecretStr("hunter2")})

    assert b"hunter2" not in lines[0]


def test_text_that_is_no_unicode_is_still_logged(lines: list[bytes]) -> None:
    """Header bytes come as lone surrogates."""
    logs.configure(LogSettings(format="json"), lines.append)

    logs.logger().info("said", what="\udcff")

    assert json.loads(lines[0])["event"] == "said"


def test_level_is_a_floor(lines: list[bytes]) -> None:
    """Less important lines are not written, and neither are those of libraries."""
    logs.configure(LogSettings(format="json", level="warning"), lines.append)

    logs.logger().info("no")
    logging.getLogger("aiohttp.server").info("no")
    logging.getLogger("aiohttp.server").error("yes %s", 1)

    assert [json.loads(line)["event"] for line in lines] == ["yes 1"]
    assert json.loads(lines[0])["logger"] == "aiohttp.server"


def test_access_line(lines: list[bytes]) -> None:
    """Who did what to what, with what result; values of unknown parameters could be tokens."""
    record = logs.access_log(LogSettings(format="json"), lines.append)
    assert record is not None
    record(ACCESS)

    line = json.loads(lines[0])
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "event": "request",
        "level": "info",
        "request_id": "01J",
        "principal": "admin",
        "repository": "library/app",
        "action": "pull",
        "remote": "192.0.2.1",
        "method": "GET",
        "path": "/v2/library/app/tags/list",
        "query": "n=3&token=**********&last=v1",
        "status": 200,
        "received_bytes": 0,
        "sent_bytes": 12,
        "milliseconds": 1.5,
    }


@pytest.mark.parametrize("settings", [LogSettings(access=False), LogSettings(level="error")])
def test_access_lines_can_be_off(settings: LogSettings, lines: list[bytes]) -> None:
    """By their own switch or by the level."""
    assert logs.access_log(settings, lines.append) is None
    assert lines == []


@pytest.mark.parametrize("name", ["botocore.auth", "botocore.parsers", "boto3.resources", "urllib3.connectionpool"])
def test_what_clients_of_aws_say_in_detail_is_not_written(name: str, lines: list[bytes]) -> None:
    """It has session tokens and, in answers of STS, secret keys."""
    logs.configure(LogSettings(format="json", level="debug"), lines.append)

    logging.getLogger(name).debug("x-amz-security-token:hunter2")
    logging.getLogger(name).warning("yes")

    assert [json.loads(line)["event"] for line in lines] == ["yes"]
