"""What a token costs: processor time of manifest pulls under one, against a server that lets anybody in."""

import base64
import dataclasses
import http.client
import json
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from proofs.outcome import Failed, check
from proofs.pushes import Image, Ledger
from proofs.server import Server
from proofs.workspace import Workspace

CONNECTIONS = 8
REQUESTS = 4_000
ROUNDS = 20
MOST = 1.10
# Of what is so little a tenth is less than two runs on one machine differ by.
MOST_MICROSECONDS = 15
USER, PASSWORD = "alice", "correct-horse"
REPOSITORY = "team/app"
POLICY = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        "Resource": "arn:aws:ecr:*:*:repository/team/*",
    },
}


def prove(workspace: Workspace) -> str:
    """A pull by tag under a user's token costs a worker at most 10 % or 15 µs more than one without credentials."""
    folder = workspace.folder("tokens")
    alone = dataclasses.replace(workspace, workers=1)
    quiet = {"LADING_LOG__ACCESS": "false"}
    image = Image(1, REPOSITORY)
    with (
        Server(alone, folder / "open", folder / "open.log", quiet | {"LADING_DEV": "true"}) as anybody,
        Server(alone, folder / "data", folder / "server.log", quiet) as guarded,
    ):
        for server in (anybody, guarded):
            Ledger().push(server.registry, image)
        header = f"Authorization: Bearer {token(alone, guarded, folder)}\r\n"
        pulls = [Pulls(anybody, image, ""), Pulls(guarded, image, header)]
        costs = measured(pulls)
        for server in (anybody, guarded):
            server.stop()
    # What else the machine does only ever adds to a cost: the least of all rounds is the one to compare.
    without, under = map(min, costs)
    ratio = under / without
    detail = f"{without:.0f} us without credentials, {under:.0f} us under a token: {ratio:.3f} times as much"
    is_little = ratio <= MOST or under - without <= MOST_MICROSECONDS
    check(is_little, f"{detail}, more than {MOST} and by more than {MOST_MICROSECONDS} us")
    return detail


def measured(pulls: Sequence["Pulls"]) -> list[list[float]]:
    """The cost of a pull in microseconds, round by round; they take turns, so that both see the same machine."""
    costs: list[list[float]] = [[] for _ in pulls]
    for number in range(ROUNDS + 1):
        order = list(enumerate(pulls))
        for index, each in order if number % 2 else reversed(order):
            cost = each.cost()
            if number:  # the first round warms up
                costs[index].append(cost)
    return costs


def token(workspace: Workspace, server: Server, folder: Path) -> str:
    """A token to pull, of a user whom a policy lets."""
    (folder / "policy.json").write_text(json.dumps(POLICY))
    for words, given in (
        (["user", "create", USER, "--password-stdin"], f"{PASSWORD}\n"),
        (["policy", "put", "--user", USER, "--name", "pull", "--file", str(folder / "policy.json")], ""),
    ):
        environment = os.environ | {"LADING_STORAGE__ROOT": str(server.data)}
        done = subprocess.run(
            [*workspace.command, *words], env=environment, input=given, capture_output=True, text=True, check=False
        )
        check(done.returncode == 0, f"lading {words[0]} {words[1]}: {done.stderr}")
    connection = http.client.HTTPConnection(server.registry.address, timeout=10)
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    path = f"/auth/token?scope=repository:{REPOSITORY}:pull"
    connection.request("GET", path, headers={"Authorization": f"Basic {basic}"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return str(answer["token"])


class Pulls:
    """Pulls of one manifest by tag, several at once, on connections that are kept."""

    def __init__(self, server: Server, image: Image, header: str) -> None:
        self._server = server
        host, _, port = server.registry.address.partition(":")
        self._address = host, int(port)
        self._expected = image.manifest()
        path = f"/v2/{image.repository}/manifests/{image.tag}"
        self._request = f"GET {path} HTTP/1.1\r\nHost: {server.registry.address}\r\n{header}\r\n".encode()

    def cost(self) -> float:
        """Processor time of one pull in microseconds, over 4,000 of them."""
        connections = [socket.create_connection(self._address, timeout=30) for _ in range(CONNECTIONS)]
        before = self._seconds()
        for _ in range(REQUESTS // CONNECTIONS):
            for connection in connections:
                connection.sendall(self._request)
            for connection in connections:
                self._read(connection)
        spent = self._seconds() - before
        for connection in connections:
            connection.close()
        return spent / REQUESTS * 1e6

    def _read(self, connection: socket.socket) -> None:
        answer = b""
        while not answer.endswith(self._expected):
            piece = connection.recv(1 << 16)
            if not piece:
                raise Failed(f"a pull ended early: {answer[:200]!r}")
            answer += piece
        check(answer.startswith(b"HTTP/1.1 200 "), f"a pull was answered {answer[:200]!r}")

    def _seconds(self) -> float:
        """Processor time of the server's threads so far, their own and the kernel's for them."""
        nanoseconds = 0
        for process in self._server.processes():
            for thread in Path(f"/proc/{process}/task").iterdir():
                nanoseconds += int((thread / "schedstat").read_text().split()[0])
        return nanoseconds / 1e9
