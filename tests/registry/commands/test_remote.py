"""`--server`: every command says the same of a server's registry as of one in a data directory."""

import argparse
import json
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest

from tests.registry.commands.conftest import Ran, Run
from tests.registry.commands.served import answering, served

COMMANDS: Final = ("user", "group", "role", "key", "token", "policy", "repo", "signing")
ALLOW: Final = {"Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": "*", "Sid": "read"}
FILES: Final[Mapping[str, object]] = {
    "own": {"Version": "2012-10-17", "Statement": [ALLOW]},
    "anybody": {"Version": "2012-10-17", "Statement": [{**ALLOW, "Principal": "*"}]},
    "trust": {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    },
    "broken": {"Version": "2012-10-17", "Statement": [{"Effect": "Permit", "Action": "*", "Resource": "*"}]},
}
# A word in braces is a file, or what an earlier step told under that name.
SCRIPT: Final = """
user create alice
user create alice
user create b@d,name+=. --password-stdin
user create not/a/name
user create carol --password-stdin
user list
user tag alice team=web stage=dev
user show alice
user show nobody
user disable alice
user disable admin
policy simulate --user alice --action ecr:BatchGetImage --resource team/app
user enable alice
user password alice
user password b@d,name+=. --password-stdin
group create crew
group create a+b
group add crew alice
group add crew b@d,name+=.
group add crew nobody
group list
group list crew
group remove crew b@d,name+=.
group delete a+b
role create builder --file {trust}
role create builder --file {own}
role list
role trust show builder
role trust set builder --file {trust}
role assume builder --session-name nightly
role assume builder --session-name nightly --seconds 1
role assume nobody --session-name nightly
role revoke builder
role provider create https://issuer.example.com/ci --audience registry
role provider create http://10.0.0.1 --audience registry
role provider list
role provider delete issuer.example.com/ci
key create --user alice
key list --user alice
key disable {access_key_id}
key enable {access_key_id}
key delete {access_key_id}
key delete {access_key_id}
key list --user nobody
token create ci --user alice --expires-at 2030-01-31T00:00:00Z
token create ci --user alice --expires-at tomorrow
token create ci2 --user alice --file {own}
token list --user alice
token delete ci --user alice
token revoke 00000000-0000-0000-0000-000000000000
token revoke nothing
token login
signing rotate --algorithm EdDSA
signing list
signing retire {kid}
policy put --name readers --file {own}
policy put --name readers --file {own}
policy put --name broken --file {broken}
policy put --user alice --name own --file {own}
policy put --user nobody --name own --file {own}
policy put --group crew --name own --file {own}
policy put --role builder --name own --file {own}
policy put --registry --file {anybody}
policy attach --user alice --name readers
policy attach --role builder --name readers --boundary
policy attach --group crew --name readers --boundary
policy list
policy list --user alice
policy list --role builder
policy show --name readers
policy show --user alice --name own
policy show --registry
policy versions --name readers
policy default --name readers --version 1
policy default --name readers --version 7
policy default --name readers --version 0
policy simulate --user alice --action ecr:BatchGetImage --resource team/app
policy simulate --user alice --action ecr:PutImage --resource team/app --context ecr:ImageTag=dev
policy simulate --role builder --action ecr:BatchGetImage --resource *
policy simulate --user nobody --action ecr:BatchGetImage --resource *
policy simulate --user alice --action nonsense --resource *
policy delete --name readers
policy detach --role builder --boundary
policy detach --user alice --name readers
policy detach --user alice --name readers
policy delete --user alice --name own
policy delete --registry
policy delete --registry
policy delete --name readers
repo create team/app stage=dev
repo create team/app
repo create NOT/A/NAME
repo list
repo show team/app
repo show team
repo tag team/app stage=prod
repo tags team/app
repo policy set team/app --file {anybody}
repo policy set team/app --file {own}
repo policy show team/app
repo policy delete team/app
repo policy show team/app
repo delete team/app
repo delete team/app --force
role delete builder
group delete crew
user delete alice
user delete admin
"""
_VARYING: Final = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "TIME"),
    (re.compile(r"LK[A-Z2-7]{18}"), "KEY"),
    (re.compile(r"signing key [A-Za-z0-9_-]{43}"), "signing key KID"),
)
_SECRETS: Final = {"password", "secret_access_key", "token", "kid"}


@dataclass(frozen=True)
class Both:
    """One command, asked of a data directory and of a server with a copy of it."""

    run: Run
    server: str


@pytest.fixture
def server(prepared_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with the same account as the data directory of `lading`, and credentials for it."""
    shutil.copytree(prepared_root, tmp_path / "served")
    for name in ("LADING_USER", "LADING_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LADING_PASSWORD", "correct-horse")
    with served(tmp_path / "served") as url:
        yield url


@pytest.fixture
def both(lading: Run, server: str) -> Both:
    return Both(lading, server)


def test_commands_say_the_same_of_a_server_as_of_a_data_directory(both: Both, tmp_path: Path) -> None:
    """What they print, why they refuse, and with which exit code: every subcommand, well used and badly."""
    files = {}
    for name, document in FILES.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
        files[name] = str(tmp_path / f"{name}.json")
    local_words, remote_words = dict(files), dict(files)
    done = refused = 0

    for line in SCRIPT.strip().splitlines():
        local = both.run(*line.format_map(local_words).split(), "--json", stdin="a password\n")
        remote = both.run(
            *line.format_map(remote_words).split(), "--json", "--server", both.server, stdin="a password\n"
        )

        assert (remote.code, plain(remote.err)) == (local.code, plain(local.err)), line
        assert plain(remote.out) == plain(local.out), line
        remember(local, local_words)
        remember(remote, remote_words)
        done, refused = done + (local.code == 0), refused + (local.code != 0)

    assert done > 60
    assert refused > 20


def plain(text: str) -> Any:
    """What was printed, without times, ids and secrets."""
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    try:
        return masked(json.loads(text))
    except json.JSONDecodeError:
        return text


def masked(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: "SECRET" if name in _SECRETS and value else masked(value) for name, value in node.items()}
    return [masked(value) for value in node] if isinstance(node, list) else node


def remember(ran: Ran, words: dict[str, str]) -> None:
    if ran.code == 0 and isinstance(found := json.loads(ran.out), dict):
        words.update({name: found[name] for name in ("access_key_id", "kid") if name in found})


def test_script_has_every_subcommand() -> None:
    """So that none is added that works in the data directory alone."""
    there: set[tuple[str, ...]] = set()
    for command in COMMANDS:
        parser = argparse.ArgumentParser()
        import_module(f"registry.commands.{command}").add_arguments(parser)
        there |= set(subcommands(parser, (command,)))
    lines = [tuple(line.split()) for line in SCRIPT.strip().splitlines()]

    assert {words for words in there if not any(line[: len(words)] == words for line in lines)} == set()


def subcommands(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The words that lead to each subcommand that does its work on a registry."""
    found = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in found:
        for name, subparser in action.choices.items():
            yield from subcommands(subparser, (*words, name))
    if not found and parser.get_default("work") is not None:
        yield words


def test_person_reads_the_same_too(both: Both) -> None:
    for words in (("user", "list"), ("user", "show", "admin"), ("policy", "list"), ("repo", "list")):
        assert both.run(*words, "--server", both.server) == both.run(*words)


def test_wrong_password_is_refused_in_the_servers_words(
    lading: Run, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LADING_PASSWORD", "wrong-and-secret")

    ran = lading("user", "list", "--server", server)

    assert ran.code == 1
    assert ran.err == ("lading: the user name or the password is wrong; check LADING_USER and LADING_PASSWORD\n")


def test_password_is_missing_where_nobody_can_be_asked(
    lading: Run, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LADING_PASSWORD")

    ran = lading("user", "list", "--server", server)

    assert ran.code == 1
    assert "LADING_PASSWORD" in ran.err


def test_another_user_asks_as_itself(lading: Run, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lading("user", "create", "carol", "--password-stdin", "--server", server, stdin="of carol\n")
    monkeypatch.setenv("LADING_USER", "carol")
    monkeypatch.setenv("LADING_PASSWORD", "of carol")

    ran = lading("user", "list", "--server", server)

    assert ran.code == 1
    assert "user/carol is not allowed to perform lading:ListUsers" in ran.err


def test_access_key_asks_for_its_user(lading: Run, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key = lading("key", "create", "--user", "admin", "--json", "--server", server).document
    monkeypatch.setenv("LADING_USER", key["access_key_id"])
    monkeypatch.setenv("LADING_PASSWORD", key["secret_access_key"])

    assert lading("user", "list", "--server", server).code == 0


def test_token_goes_before_a_password(lading: Run, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LADING_TOKEN", "no.such.token")

    ran = lading("user", "list", "--server", server)

    assert ran.code == 1
    assert "invalid token" in ran.err


def test_redirect_is_not_followed(lading: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stands there would get the credentials."""
    monkeypatch.setenv("LADING_PASSWORD", "correct-horse")
    with answering(200, "{}") as (elsewhere, stolen), answering(307, headers={"Location": elsewhere}) as (url, got):
        ran = lading("user", "list", "--server", url)

    assert ran.code == 1
    assert "307" in ran.err
    assert len(got) == 1
    assert stolen == []


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, "<html>"), (200, ""), (200, "[]"), (200, "{}"), (404, "Not Found"), (500, '{"error": "x"}'), (204, "")],
)
def test_what_is_no_lading_server_is_told_from_one(
    lading: Run, monkeypatch: pytest.MonkeyPatch, status: int, body: str
) -> None:
    monkeypatch.setenv("LADING_PASSWORD", "correct-horse")
    with answering(status, body) as (url, _):
        ran = lading("user", "list", "--server", url)

    assert ran.code == 1
    assert "Lading server" in ran.err
    assert "Traceback" not in ran.err


def test_nothing_that_listens_is_told(lading: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LADING_PASSWORD", "correct-horse")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    ran = lading("user", "list", "--server", f"http://127.0.0.1:{port}")

    assert ran.code == 1
    assert f"http://127.0.0.1:{port} does not answer" in ran.err
    assert "correct-horse" not in ran.err


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://localhost",
        "http://",
        "http://admin:correct-horse@localhost:8000",
        "http://admin@localhost:8000",
        "http://localhost:port",
        "http://localhost:8000/?a=b",
        "http://local host",
        "",
    ],
)
def test_what_is_no_url_of_a_server_is_refused(lading: Run, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Credentials in a URL would end up in the history of a shell, and in what is printed."""
    monkeypatch.setenv("LADING_PASSWORD", "correct-horse")

    ran = lading("user", "list", "--server", url)

    assert ran.code == 1
    assert "write it as http://HOST:PORT" in ran.err
    assert "Traceback" not in ran.err
    assert "correct-horse" not in ran.err


def test_slash_at_the_end_of_the_url_means_nothing(lading: Run, server: str) -> None:
    assert lading("user", "list", "--server", f"{server}/").code == 0


@pytest.mark.parametrize(("name", "value"), [("LADING_TOKEN", "a\nb"), ("LADING_USER", "a:b")])
def test_credentials_that_no_header_can_hold_are_told_in_a_line(
    lading: Run, server: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    ran = lading("user", "list", "--server", server)

    assert ran.code == 1
    assert ran.err.startswith(f"lading: {name} holds ")
    assert ran.err.count("\n") == 1


def test_what_is_no_text_is_told_in_a_line(both: Both) -> None:
    """As the shell hands on what is not UTF-8."""
    for more in ((), ("--server", both.server)):
        ran = both.run("user", "create", "\udcff", *more)
        assert ran.code == 1
        assert "is not UTF-8 text" in ran.err
        assert ran.err.count("\n") == 1
