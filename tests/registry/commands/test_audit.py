"""`lading audit`: searching, exporting and proving the trail."""

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from auth.bootstrap import open_registry
from auth.sealing import subkey
from registry.config import Settings
from registry.config_storage import StorageSettings
from registry.databases import open_databases
from registry.roots import open_roots
from storage.metadata.audit import append_events
from storage.metadata.audit_event import AuditEvent, EventKind, Statement, Verdict
from tests.registry.commands.conftest import Run

USER = "arn:aws:iam::{account}:user/alice"
REPOSITORY = "arn:aws:ecr:local:{account}:repository/team/app"


async def _fill(root: Path) -> None:
    settings = Settings(storage=StorageSettings(root=root))
    databases = open_databases(settings)
    with open_roots(settings) as roots:
        prepared = await open_registry(databases.registry, roots)
    events = [
        AuditEvent(
            at=1000.0 + number,
            event=EventKind.REFUSE if number % 3 == 0 else EventKind.PULL,
            principal=USER.format(account=prepared.account_id) if number % 2 else "anonymous",
            source="192.0.2.7",
            action="ecr:BatchGetImage",
            resource=REPOSITORY.format(account=prepared.account_id) if number < 10 else "*",
            decision=Verdict.EXPLICIT_DENY if number % 3 == 0 else Verdict.ALLOWED,
            request_id=f"{number:02}",
            statement=Statement("own", "NoReading", 0) if number % 3 == 0 else None,
        )
        for number in range(12)
    ]
    key = subkey(prepared.secrets_key, "audit")
    await databases.activity.write(lambda c: append_events(c, key, events))
    await databases.close()


@pytest.fixture
def filled(root: Path) -> Path:
    """A registry in which twelve things happened, one a second."""
    asyncio.run(_fill(root))
    return root


def found(lading: Run, *filters: str) -> list[str]:
    return [event["request_id"] for event in lading("audit", "search", "--json", *filters).document]


def test_search_shows_the_newest_first(lading: Run, filled: Path) -> None:
    ran = lading("audit", "search", "--limit", "2")

    assert ran.code == 0
    first, second = ran.out.splitlines()
    assert first.split() == [
        "1970-01-01T00:16:51Z",
        "pull",
        "allowed",
        next(word for word in first.split() if word.endswith("user/alice")),
        "ecr:BatchGetImage",
        "*",
        "192.0.2.7",
    ]
    assert "1970-01-01T00:16:50Z" in second


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--limit", "3"], ["11", "10", "09"]),
        (["--limit", "3", "--oldest-first"], ["00", "01", "02"]),
        (["--since", "1009"], ["11", "10", "09"]),
        (["--since", "1970-01-01T00:16:49Z", "--until", "1970-01-01T01:16:51+01:00"], ["10", "09"]),
        (["--event", "refuse"], ["09", "06", "03", "00"]),
        (["--decision", "explicitDeny", "--principal", "alice"], ["09", "03"]),
        (["--principal", "anonymous", "--until", "1003"], ["02", "00"]),
        (["--resource", "*"], ["11", "10"]),
        (["--resource", "team/app", "--since", "1008"], ["09", "08"]),
        (["--resource", "team/*", "--since", "1008"], ["09", "08"]),
        (["--resource", "team"], []),
        (["--action", "ecr:*", "--limit", "1"], ["11"]),
        (["--action", "lading:*"], []),
    ],
)
def test_filters_leave_what_is_meant(lading: Run, filled: Path, filters: list[str], expected: list[str]) -> None:
    assert found(lading, *filters) == expected


def test_an_event_is_shown_as_everywhere(lading: Run, filled: Path) -> None:
    (event,) = lading("audit", "search", "--json", "--oldest-first", "--limit", "1").document

    assert list(event) == [
        *("id", "time", "event", "principal", "source", "action", "resource", "decision"),
        *("statement", "request_id", "details", "seal"),
    ]
    assert event["statement"] == {"policy": "own", "sid": "NoReading", "index": 0}


def test_export_writes_lines_the_oldest_first(lading: Run, filled: Path, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    to_output = lading("audit", "export", "--event", "refuse")
    to_file = lading("audit", "export", "--output", str(file), "--json")

    assert [json.loads(line)["request_id"] for line in to_output.out.splitlines()] == ["00", "03", "06", "09"]
    assert to_file.document == {"events": 12, "file": str(file)}
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == list(range(1, 13))
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_whole_trail_is_proven(lading: Run, filled: Path) -> None:
    assert lading("audit", "verify").out == "12 events: all as they were recorded\n"


@pytest.mark.parametrize(
    ("statement", "event"),
    [
        ("UPDATE audit_event SET principal = 'nobody' WHERE id = 5", 5),
        ("DELETE FROM audit_event WHERE id = 5", 6),
        ("DELETE FROM audit_event WHERE id < 3", 3),
    ],
)
def test_tampering_is_found_and_named(lading: Run, filled: Path, statement: str, event: int) -> None:
    with sqlite3.connect(filled / "activity.db") as database:
        database.execute(statement)
    database.close()

    ran = lading("audit", "verify")

    assert ran.code == 1
    assert f"event {event}:" in ran.err


def test_lines_of_a_file_are_proven_by_themselves(lading: Run, filled: Path, tmp_path: Path) -> None:
    """Without the trail in the database; that one is missing is said, for who knows that none should be."""
    file = tmp_path / "events.jsonl"
    lading("audit", "export", "--output", str(file))
    lines = file.read_bytes().splitlines(keepends=True)

    def verify(*changed: bytes) -> tuple[int, str]:
        file.write_bytes(b"".join(changed))
        ran = lading("audit", "verify", "--file", str(file))
        return ran.code, ran.out + ran.err

    whole = "all as they were recorded, {} missing between the first and the last\n"
    assert verify(*lines) == (0, "12 events: " + whole.format(0))
    assert verify(*reversed(lines), b"\n") == (0, "12 events: " + whole.format(0))
    assert verify(*lines[:4], lines[5], *lines[5:]) == (0, "11 events: " + whole.format(1))
    for bad in (
        lines[4].replace(b"1004", b"1005").replace(b"16:44", b"16:45"),
        b"no JSON\n",
        lines[4][:50] + b"\n",
        b"[]\n",
    ):
        code, text = verify(*lines[:4], bad, *lines[5:])
        assert code == 1
        assert text.endswith("1 lines are not as they were recorded: 5\n")


def test_a_change_from_the_command_line_is_an_event(lading: Run) -> None:
    """Whoever can read the data directory may do it, and is seen to have done it; what only looks is not told."""
    lading("user", "create", "erin", "--password-stdin", stdin="a password\n")
    lading("user", "list")
    lading("user", "create", "erin", "--password-stdin", stdin="a password\n")
    lading("user", "disable", "erin")

    events = lading("audit", "search", "--json", "--oldest-first").document

    assert [(event["action"], event["resource"].rpartition(":")[2]) for event in events] == [
        ("lading:CreateUser", "user/erin"),
        (events[1]["action"], "user/erin"),
    ]
    assert {(event["event"], event["source"], event["principal"][-5:]) for event in events} == {
        ("change", "local", ":root")
    }
    assert events[0]["details"]["credential"] == "local"
    assert lading("audit", "verify").code == 0


def test_a_time_that_is_none_is_refused(lading: Run, filled: Path) -> None:
    ran = lading("audit", "search", "--since", "yesterday")

    assert ran.code == 2
    assert "yesterday is no time" in ran.err
