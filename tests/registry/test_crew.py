"""What is said when a server is up."""

import json
import logging
import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest
import structlog

from registry import logs
from registry.config import LogSettings, Settings
from registry.crew import Crew, Equipment


@pytest.fixture
def written() -> Iterator[list[bytes]]:
    """Every line of the log."""
    lines: list[bytes] = []
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(LogSettings(format="json"), lines.append)
    yield lines
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def said(lines: list[bytes], **encryption: str) -> list[dict[str, Any]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = Settings.model_validate({"encryption": encryption})
        Crew(Equipment(settings, cast("Any", None), [listener], cast("Any", None)), 0.0).ready()
    return [json.loads(line) for line in lines]


def test_start_warns_that_nothing_is_encrypted(written: list[bytes]) -> None:
    warning, serving = said(written, mode="off")

    assert (warning["level"], warning["event"]) == (
        "warning",
        "encryption.mode is off: nothing is encrypted at rest",
    )
    assert serving["encryption"] == "off"


def test_start_names_where_the_root_key_comes_from(written: list[bytes]) -> None:
    (serving,) = said(written, mode="aws-kms", kms_key_id="alias/lading")

    assert (serving["event"], serving["encryption"]) == ("serving", "aws-kms")
