"""`lading policy simulate`: what would be decided, and by which statements.

With `--input` it answers lines of JSON from a file, each with its own policies, and opens no registry; without it asks
the policies of the registry about one of its users.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import orjson

from auth.actions import REGISTRY, Resource
from auth.policy.simulation import simulate_line
from auth.principals import Principal, PrincipalKind
from registry.commands.documents import STANDARD_INPUT
from registry.commands.subcommands import Report, UsageInvalid, complain
from storage.names import is_repository_name

if TYPE_CHECKING:
    from auth.authorizer import Authorizer
    from registry.commands.opened import Opened

_REPOSITORY: Final = ":repository/"


def add_request(parser: argparse.ArgumentParser) -> None:
    """Declare what is asked: a file of requests, or one request."""
    parser.add_argument("--input", metavar="FILE", help="requests, one JSON object a line; - is standard input")
    parser.add_argument("--user", metavar="NAME", help="who asks")
    parser.add_argument("--action", metavar="ACTION", help="such as ecr:PutImage")
    parser.add_argument("--resource", metavar="ARN", help="a repository's ARN or name, or * for the registry")
    parser.add_argument(
        "--context", action="append", default=[], metavar="KEY=VALUE", help="a condition key, as in ecr:ImageTag=latest"
    )


def run_offline(arguments: argparse.Namespace) -> int:
    """Answer every line of the input with a line; returns the exit code."""
    if arguments.user or arguments.action or arguments.resource or arguments.context:
        complain("--input brings whole requests: leave out --user, --action, --resource and --context")
        return 2
    try:
        for line in _lines(arguments.input):
            answer = simulate_line(line)
            sys.stdout.write((answer if arguments.json else _in_words(orjson.loads(answer))) + "\n")
    except (OSError, UnicodeDecodeError) as error:
        return complain(f"{arguments.input} cannot be read: {error}")
    return 0


async def ask(opened: "Opened", arguments: argparse.Namespace) -> Report:
    """Ask the registry's own policies about one of its users; raises NotThere."""
    if not (arguments.user and arguments.action and arguments.resource):
        raise UsageInvalid("simulate what? Give --input FILE, or --user, --action and --resource")
    facts = dict(_fact(pair) for pair in arguments.context)
    user = await opened.accounts.user(arguments.user)
    principal = Principal(user.account_id, user.name, PrincipalKind(user.kind))
    resource = _resource(opened.authorizer, arguments.resource)
    decision = await opened.authorizer.authorize(principal, arguments.action, resource, facts)
    document: dict[str, object] = {
        "decision": decision.outcome.value,
        "statements": [
            {"policy": match.policy, "sid": match.sid, "effect": match.effect.value} for match in decision.matches
        ],
        "reason": decision.reason,
    }
    text = f"{decision.outcome.value}: {decision.reason}"
    if user.is_disabled:
        text += f"\n{user.name} is disabled, though, and refused whatever it asks: run `lading user enable {user.name}`"
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


def _resource(authorizer: "Authorizer", text: str) -> Resource:
    if text == REGISTRY.arn:
        return REGISTRY
    if is_repository_name(text):
        return authorizer.repository(text)
    name = text.partition(_REPOSITORY)[2]
    return Resource(text, name if is_repository_name(name) else None)


def _fact(pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals:
        raise UsageInvalid(f"--context {pair}: write it as KEY=VALUE")
    return key, value
