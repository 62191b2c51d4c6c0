"""`lading policy` without a registry: simulating and validating."""

import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from registry.__main__ import main
from tests.registry.serving import ROOT

ALICE = "arn:aws:iam::123456789012:user/alice"
REPOSITORY = "arn:aws:ecr:local:123456789012:repository/team/app"
READER = {
    "Version": "2012-10-17",
    "Statement": {"Sid": "Read", "Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": REPOSITORY},
}


def asked(**members: Any) -> dict[str, Any]:
    request = {"principal": ALICE, "action": "ecr:BatchGetImage", "resource": REPOSITORY, "context": {}}
    return {**request, "identity_policies": [READER], "resource_policy": None, "permissions_boundary": None, **members}


def simulated(capsys: pytest.CaptureFixture[str], path: Path, *requests: object) -> list[Any]:
    path.write_text("".join(json.dumps(request) + "\n" for request in requests))

    assert main(["policy", "simulate", "--input", str(path), "--json"]) == 0

    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_request_has_one_answer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    answers = simulated(
        capsys,
        tmp_path / "requests",
        asked(),
        asked(action="ecr:PutImage"),
        asked(identity_policies=[{"Version": "x"}]),
    )

    assert answers[0] == {
        "decision": "allowed",
        "statements": [{"policy": "identity_policies[0]", "sid": "Read", "effect": "Allow"}],
    }
    assert answers[1] == {"decision": "implicitDeny", "statements": []}
    assert list(answers[2]) == ["error"]


def test_a_deny_of_the_repository_wins(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    deny = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*", "Action": "ecr:*"}}

    (answer,) = simulated(capsys, tmp_path / "requests", asked(resource_policy=deny))

    assert answer == {
        "decision": "explicitDeny",
        "statements": [{"policy": "resource_policy", "sid": None, "effect": "Deny"}],
    }


def test_requests_come_from_standard_input_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(asked()) + "\n\n"))

    assert main(["policy", "simulate", "--input", "-"]) == 0

    assert capsys.readouterr().out == "allowed: Allow Read of identity_policies[0]\n"


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["policy", "simulate", "--input", str(tmp_path / "absent")]) == 1

    assert "absent" in capsys.readouterr().err


def test_a_valid_policy_is_called_valid(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(READER))

    assert main(["policy", "validate", "--file", str(file)]) == 0

    assert capsys.readouterr().out == "the policy is valid\n"


def test_what_is_wrong_is_named_by_line_and_member(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(
        '{\n"Version": "2012-10-17",\n"Statement": {\n"Effect": "Perhaps", "Action": "ecr:*", "Resource": "*"}}'
    )

    assert main(["policy", "validate", "--file", str(file), "--json"]) == 1

    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["severity"], finding["line"], finding["field"]) == ("error", 4, "Statement.Effect")


def test_simulation_without_a_question_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Whether there is a registry or not."""
    assert main(["policy", "simulate"]) == 2
    assert "simulate what?" in capsys.readouterr().err


def test_reader_that_has_seen_enough_is_no_failure(tmp_path: Path) -> None:
    file = tmp_path / "requests"
    file.write_text((json.dumps(asked()) + "\n") * 20_000)
    command = [sys.executable, "-m", "registry", "policy", "simulate", "--json", "--input", str(file)]

    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == b""

    assert running.returncode == 128 + signal.SIGPIPE
