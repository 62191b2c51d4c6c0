"""`lading policy simulate`: what would be decided, and by which statements.

With `--input` it answers lines of JSON from a file, each with its own policies, and opens no registry; without it asks
the policies of the registry about one of its users.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import orjson

from auth.policy.simulation import simulate_line
from registry.admin import registry
from registry.commands.documents import STANDARD_INPUT
from registry.commands.subcommands import Report, UsageInvalid, complain

if TYPE_CHECKING:
    from registry.commands.api import Api


def add_request(parser: argparse.ArgumentParser) -> None:
    """Declare what is asked: a file of requests, or one request."""
    parser.add_argument("--input", metavar="FILE", help="requests, one JSON object a line; - is standard input")
    parser.add_argument("--user", metavar="NAME", help="who asks")
    parser.add_argument("--role", metavar="NAME", help="which role's session asks")
    parser.add_argument("--action", metavar="ACTION", help="such as ecr:PutImage")
    parser.add_argument("--resource", metavar="ARN", help="a repository's ARN or name, or * for the registry")
    parser.add_argument(
        "--context", action="append", default=[], metavar="KEY=VALUE", help="a condition key, as in ecr:ImageTag=latest"
    )


def run_offline(arguments: argparse.Namespace) -> int:
    """Answer every line of the input with a line; returns the exit code."""
    if arguments.user or arguments.role or arguments.action or arguments.resource or arguments.context:
        complain("--input brings whole requests: leave out --user, --role, --action, --resource and --context")
        return 2
    try:
        for line in _lines(arguments.input):
            answer = simulate_line(line)
            sys.stdout.write((answer if arguments.json else _in_words(orjson.loads(answer))) + "\n")
    except BrokenPipeError:  # nothing failed: the reader of our output has seen enough
        raise
    except (OSError, UnicodeDecodeError) as error:
        return complain(f"{arguments.input} cannot be read: {error}")
    return 0


def is_question(arguments: argparse.Namespace) -> bool:
    """Whether the arguments say all that there is to decide."""
    return bool((arguments.user or arguments.role) and arguments.action and arguments.resource)


async def ask(api: "Api", arguments: argparse.Namespace) -> Report:
    """Ask the registry's own policies about one of its users or roles; raises NotThere."""
    question = {
        "user": arguments.user,
        "role": arguments.role,
        "action": arguments.action,
        "resource": arguments.resource,
        "context": dict(_fact(pair) for pair in arguments.context),
    }
    answer = await api.call(registry.SIMULATE, body=question)
    statements = [{name: each[name] for name in ("policy", "sid", "effect")} for each in answer["statements"]]
    document = {"decision": answer["decision"], "statements": statements, "reason": answer["reason"]}
    text = f"{answer['decision']}: {answer['reason']}"
    if answer["disabled"]:
        name = arguments.user
        text += f"\n{name} is disabled, though, and refused whatever it asks: run `lading user enable {name}`"
    return Report(text, document)


def _lines(file: str) -> Iterator[str]:
    """The lines that hold anything."""
    if file == STANDARD_INPUT:
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


def _fact(pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals:
        raise UsageInvalid(f"--context {pair}: write it as KEY=VALUE")
    return key, value
