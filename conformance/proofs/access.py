"""Who may do what changes all the time, while many clients log in, push and pull and workers are killed."""

import dataclasses
import itertools
import json
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

from proofs.outcome import Inconclusive, check
from proofs.server import Server
from proofs.visitors import KeyedVisitor, Visitor
from proofs.witness import Broken, Cut, Steward, Witness, basic
from proofs.workspace import Workspace

WORKERS = 4
SECONDS_A_ROUND = 6
KILL_SECONDS = 5.0
ROTATE_SECONDS = 1.0
KEYS = 14
ALGORITHMS = ("ES256", "EdDSA", "RS256")
PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
# the disabled user's own wrong logins are meant, and no guesses
SETTINGS = {"LADING_LIMITS__LOGIN_ATTEMPTS": "10000"}


@dataclasses.dataclass(slots=True)
class Changes:
    """How often what happened."""

    rotations: int = 0
    narrowings: int = 0
    disablings: int = 0


def prove(workspace: Workspace) -> str:
    """Nobody is refused who may; whoever may not is refused at the next request on every worker; all of it is told."""
    folder = workspace.folder("access")
    many = dataclasses.replace(workspace, workers=max(workspace.workers, WORKERS))
    with Server(many, folder / "data", folder / "server.log", SETTINGS) as server:
        witness = Witness(server)
        steward = Steward(witness, server.registry, workspace.password)
        changes = Changes()
        keyed = KeyedVisitor(witness, steward, "keyed")
        loops = [
            *visits(witness, steward),
            keyed.visit_and_turn,
            rotation(steward, changes),
            narrowing(witness, steward, Visitor(witness, steward, "narrowed"), changes),
            disabling(witness, steward, Visitor(witness, steward, "disabled"), changes),
            killing(server, witness),
        ]
        run_all(witness, loops, workspace.rounds * SECONDS_A_ROUND)
        check(not witness.failures, f"{len(witness.failures)} failed: {witness.failures[:3]}")
        enough = min(
            changes.rotations // len(ALGORITHMS), changes.narrowings, changes.disablings, keyed.turns, witness.kills
        )
        if enough < 2:
            raise Inconclusive(f"too little happened: {changes}, {keyed.turns} keys turned, {witness.kills} kills")
        exported = server.lading("audit", "export")
        proven = server.lading("audit", "verify")
        server.stop()
        told = check_events(witness, exported)
        check_secrets(witness, server.data, folder / "server.log", exported)
    return (
        f"{witness.requests} requests, {told} acknowledged changes and pushes with their events; "
        f"{changes.rotations} rotations, {changes.narrowings} policies narrowed, {changes.disablings} users disabled, "
        f"{keyed.turns} keys turned, seen by every worker ({witness.rounds_of_workers} times); "
        f"{witness.kills} workers killed, {witness.cut} requests cut; {len(witness.secrets)} secrets nowhere; {proven}"
    )


def run_all(witness: Witness, loops: list[Callable[[], None]], seconds: float) -> None:
    """Do each of these again and again at the same time, for so long or until one fails."""
    threads = [threading.Thread(target=repeat, args=(witness, loop)) for loop in loops]
    for thread in threads:
        thread.start()
    witness.ending.wait(seconds)
    witness.ending.set()
    for thread in threads:
        thread.join()


def repeat(witness: Witness, act: Callable[[], None]) -> None:
    """Do it until the end; the first failure ends everything."""
    while not witness.ending.is_set():
        try:
            act()
        except Cut:
            continue
        except Exception as error:  # noqa: BLE001 - whatever breaks a client is a failure of the proof
            witness.failures.append(str(error) if isinstance(error, Broken) else repr(error))
            witness.ending.set()


def visits(witness: Witness, steward: Steward) -> list[Callable[[], None]]:
    """Clients whom no change concerns: by password, service token and refresh token."""
    alice, robot, fresh = (Visitor(witness, steward, name) for name in ("alice", "robot", "fresh"))
    service_token, refresh_token = robot.service_token(), fresh.first_refresh_token()
    return [
        lambda: alice.visit(alice.login),
        lambda: robot.visit(lambda: robot.login_as(robot.user, service_token)),
        lambda: fresh.visit(lambda: fresh.login_by_refresh(refresh_token)),
    ]


def rotation(steward: Steward, changes: Changes) -> Callable[[], None]:
    """Another signing key every second, of each algorithm in turn."""
    algorithms = itertools.cycle(ALGORITHMS)

    def rotate() -> None:
        began = time.monotonic()
        keys = steward.read("/signing-keys")["items"]
        for key in keys[:-KEYS]:  # what they signed is older than any client keeps a token
            steward.try_once("DELETE", f"/signing-keys/{key['kid']}")
        steward.change("POST", "/signing-keys", {"algorithm": next(algorithms)})
        changes.rotations += 1
        time.sleep(max(0, ROTATE_SECONDS - (time.monotonic() - began)))

    return rotate


def narrowing(witness: Witness, steward: Steward, user: Visitor, changes: Changes) -> Callable[[], None]:
    """A user may pull, and then no more, under the token that it holds."""
    user.push_and_pull(f"Bearer {user.login()}")
    path = f"/v2/{user.repository}/manifests/latest"

    def narrow() -> None:
        steward.policy(user.user, *PULL)
        bearer = f"Bearer {user.login()}"
        witness.ask_every_worker(path, bearer, 200)
        steward.policy(user.user)
        witness.ask_every_worker(path, bearer, 403)
        changes.narrowings += 1

    return narrow


def disabling(witness: Witness, steward: Steward, user: Visitor, changes: Changes) -> Callable[[], None]:
    """A user is let in, and then refused with its token, its password and its service token."""
    user.push_and_pull(f"Bearer {user.login()}")
    path = f"/v2/{user.repository}/manifests/latest"
    service_token = user.service_token()

    def disable() -> None:
        steward.change("PATCH", f"/users/{user.user}", {"disabled": False})
        bearer = f"Bearer {user.login()}"
        witness.ask_every_worker(path, bearer, 200)
        steward.change("PATCH", f"/users/{user.user}", {"disabled": True})
        witness.ask_every_worker(path, bearer, 401)
        witness.ask_every_worker(user.token_path(), basic(user.user, service_token), 401)
        check(user.tries_password() == 401, "a password let a disabled user in")
        changes.disablings += 1

    return disable


def killing(server: Server, witness: Witness) -> Callable[[], None]:
    """A worker dies every few seconds."""

    def kill() -> None:
        if not witness.ending.wait(KILL_SECONDS):
            witness.kill(random.choice(server.workers()))

    return kill


def check_events(witness: Witness, exported: str) -> int:
    """Every acknowledged change and push has its event; how many there are."""
    agents = {json.loads(line)["details"].get("user_agent") for line in exported.splitlines()}
    missing = [what for agent, what in witness.acknowledged.items() if agent not in agents]
    check(not missing, f"{len(missing)} of {len(witness.acknowledged)} have no event: {missing[:3]}")
    return len(witness.acknowledged)


def check_secrets(witness: Witness, data: Path, log: Path, exported: str) -> None:
    """No secret is in the data directory, the log or the audit trail."""
    places = {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}
    places |= {"the log": log.read_bytes(), "the audit trail": exported.encode()}
    if not all(name in b"".join(places.values()) for name in (b"keyed", b"narrowed", b"disabled")):
        raise Inconclusive("what is no secret was not found either")
    found = witness.found_secrets(places)
    check(not found, f"{len(found)} secrets were found: {found[:3]}")
