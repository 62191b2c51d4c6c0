"""`lading policy`: validating policies and simulating decisions, without a registry."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import orjson

from auth.policy.document import PolicyKind
from auth.policy.findings import Finding, Severity
from auth.policy.parsing import validate_policy
from auth.policy.simulation import simulate_line

_STANDARD_INPUT: Final = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two subcommands."""
    subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="simulate|validate")
    simulate = subcommands.add_parser("simulate", help="decide requests, each with its own policies")
    simulate.add_argument(
        "--input", metavar="FILE", required=True, help="requests, one JSON object a line; - is standard input"
    )
    validate = subcommands.add_parser("validate", help="say what is wrong with a policy, by line and member")
    validate.add_argument("--file", metavar="FILE", required=True, help="the policy, JSON; - is standard input")
    kinds = [kind.value for kind in PolicyKind]
    validate.add_argument("--kind", choices=kinds, default=kinds[0], help="what the policy is for")
    for subparser in (simulate, validate):
        subparser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Exit 0 when every request was answered, or the policy has no error."""
    try:
        return _simulate(arguments) if arguments.subcommand == "simulate" else _validate(arguments)
    except (OSError, UnicodeDecodeError) as error:
        print(f"lading: {error}", file=sys.stderr)  # noqa: T201 (a command speaks)
        return 1


def _simulate(arguments: argparse.Namespace) -> int:
    for line in _lines(arguments.input):
        answer = simulate_line(line)
        sys.stdout.write((answer if arguments.json else _in_words(orjson.loads(answer))) + "\n")
    return 0


def _validate(arguments: argparse.Namespace) -> int:
    file = arguments.file
    text = sys.stdin.read() if file == _STANDARD_INPUT else Path(file).read_text(encoding="utf-8")
    findings = validate_policy(text, PolicyKind(arguments.kind))
    if arguments.json:
        sys.stdout.write(orjson.dumps([asdict(finding) for finding in findings]).decode() + "\n")
    else:
        for finding in findings:
            print(_described(finding))  # noqa: T201 (a command speaks)
    is_valid = all(finding.severity is not Severity.ERROR for finding in findings)
    if is_valid and not arguments.json:
        print("the policy is valid")  # noqa: T201 (a command speaks)
    return 0 if is_valid else 1


def _lines(file: str) -> Iterator[str]:
    """The lines that hold anything."""
    if file == _STANDARD_INPUT:
        yield from filter(str.strip, sys.stdin)
        return
    with open(file, encoding="utf-8") as lines:  # noqa: PTH123 (a pipe as well as a path)
        yield from filter(str.strip, lines)


def _in_words(answer: dict[str, object]) -> str:
    if "error" in answer:
        return f"error: {answer['error']}"
    statements = answer["statements"]
    named = [f"{each['effect']} {each['sid'] or '-'} of {each['policy']}" for each in statements]  # type: ignore[attr-defined]  # JSON of our own
    return f"{answer['decision']}: {', '.join(named) or 'no statement applies'}"


def _described(finding: Finding) -> str:
    return f"line {finding.line}, {finding.field or 'document'}: {finding.severity.value}: {finding.message}"
