"""Guessing is slowed down: what counts, for whom, for how long, on every worker."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

from auth.errors import TooManyAttempts, TooManyLogins
from auth.login_counts import SharedCounts
from auth.recent_logins import RecentLogins
from auth.throttle import Login, Throttle, network_of
from storage.metadata.database import Database
from tests.auth.activity_rows import login_failures

SECRETS_KEY = bytes(range(32))
HOME = "192.0.2.7"


class Worker:
    """One worker's throttle, and every check that it let through."""

    def __init__(
        self, activity: Database, clock: SimpleNamespace, *, most: int = 3, secrets_key: bytes = SECRETS_KEY
    ) -> None:
        self.throttle = Throttle(
            SharedCounts(activity, lambda: clock.time),
            secrets_key,
            most,
            now=lambda: clock.time,
            recent=RecentLogins(monotonic=lambda: clock.time),
        )
        self.checked: list[str] = []
        self.found = 0
        self.stored = "right"

    async def login(self, password: str, name: str = "bob", client: str = HOME) -> bool:
        async def find() -> str | None:
            self.found += 1
            return self.stored

        async def check(stored: str | None) -> bool:
            self.checked.append(password)
            await asyncio.sleep(0)
            return password == stored

        return await self.throttle.guarded(Login(name, client, password), find, check)

    async def attempt(self, check: Callable[[], Awaitable[bool]]) -> bool:
        """A login of which this is the check."""

        async def find() -> str | None:
            return self.stored

        return await self.throttle.guarded(Login("bob", HOME, "right"), find, lambda _: check())

    async def fail(self, times: int, name: str = "bob", client: str = HOME) -> None:
        for _ in range(times):
            assert not await self.login("wrong", name, client)

    async def refusal(self, password: str, name: str = "bob", client: str = HOME) -> int:
        """After how many seconds to come again."""
        with pytest.raises(TooManyAttempts) as raised:
            await self.login(password, name, client)
        return raised.value.retry_after_seconds


@pytest.fixture
def worker(activity: Database, clock: SimpleNamespace) -> Worker:
    return Worker(activity, clock)


async def test_wrong_ones_are_checked_up_to_the_bound_and_then_refused_unasked(worker: Worker) -> None:
    await worker.fail(3)

    assert await worker.refusal("wrong") == 60

    assert (worker.checked, worker.found) == (["wrong"] * 3, 3)


async def test_right_one_waits_as_well(worker: Worker) -> None:
    """Else the block would tell which guess was right."""
    await worker.fail(3)

    await worker.refusal("right")

    assert worker.checked == ["wrong"] * 3


async def test_right_one_of_a_moment_ago_is_no_oracle(worker: Worker) -> None:
    """What is remembered is compared with one guess, and then forgotten."""
    assert await worker.login("right")
    await worker.fail(3)

    await worker.refusal("right")


async def test_right_one_goes_on_while_nobody_guesses_here(
    worker: Worker, activity: Database, clock: SimpleNamespace
) -> None:
    """A login that this worker knows is not voided by guesses at another worker, which learn nothing from it."""
    assert await worker.login("right")
    await Worker(activity, clock).fail(3)

    assert await worker.login("right")


async def test_right_one_of_a_moment_ago_is_not_checked_again(worker: Worker) -> None:
    """A client that sends Basic with every request costs one derivation a minute."""
    for _ in range(3):
        assert await worker.login("right")

    assert worker.checked == ["right"]


async def test_changed_secret_is_checked_at_once(worker: Worker) -> None:
    """After a password was changed, the one before it ends at the next request."""
    assert await worker.login("right")
    worker.stored = "changed"

    assert not await worker.login("right")

    assert worker.checked == ["right", "right"]


async def test_block_ends_a_minute_after_the_first_wrong_one(worker: Worker, clock: SimpleNamespace) -> None:
    for seconds in (0, 30, 15):
        clock.time += seconds
        await worker.fail(1)
    assert await worker.refusal("right") == 15
    clock.time += 14.5
    assert await worker.refusal("right") == 1
    clock.time += 0.5

    assert await worker.login("right")


async def test_refused_attempts_do_not_prolong_the_block(worker: Worker, clock: SimpleNamespace) -> None:
    await worker.fail(3)
    for _ in range(10):
        await worker.refusal("wrong")
    clock.time += 60

    assert await worker.login("right")


async def test_clock_that_is_set_back_leaves_nobody_blocked(worker: Worker, clock: SimpleNamespace) -> None:
    await worker.fail(3)
    clock.time -= 3600

    assert await worker.login("right")


async def test_other_users_and_other_clients_go_on(worker: Worker) -> None:
    """One user's wrong passwords keep neither the same user out elsewhere nor another user here."""
    await worker.fail(3)

    assert await worker.login("right", name="ann")
    assert await worker.login("right", client="192.0.2.8")
    await worker.refusal("right")


async def test_right_ones_cost_nothing(worker: Worker, clock: SimpleNamespace) -> None:
    """Only wrong ones count, however often somebody logs in."""
    for _ in range(10):
        assert await worker.login("right")
        clock.time += 0.5
    clock.time += 60
    assert await worker.login("right")

    await worker.fail(2)
    assert await worker.login("right")
    await worker.fail(1)


async def test_right_one_does_not_clear_the_wrong_ones(worker: Worker) -> None:
    """Whoever guesses from the same place as its owner gets no more tries when he logs in."""
    await worker.fail(2)
    assert await worker.login("right")
    await worker.fail(1)

    await worker.refusal("wrong")


async def test_client_that_tries_many_names_is_refused_for_all(worker: Worker) -> None:
    """One password for each of many users is guessing, too: thirty times the bound of one user is enough."""
    for number in range(45):
        await worker.fail(2, name=f"user{number}")

    assert await worker.refusal("right", name="ann") == 60
    assert await worker.login("right", name="ann", client="192.0.2.8")


async def test_own_account_does_not_clear_the_client(worker: Worker) -> None:
    """Logging in with an account of his own in between gives nobody more names to try."""
    for number in range(45):
        await worker.fail(2, name=f"user{number}")
        if number % 10 == 0:
            assert await worker.login("right", name="mallory")

    await worker.refusal("wrong", name="ann")


async def test_block_holds_for_every_worker_and_after_a_restart(
    worker: Worker, activity: Database, other_activity: Database, clock: SimpleNamespace
) -> None:
    await worker.fail(2)
    await Worker(other_activity, clock).fail(1)

    await Worker(activity, clock).refusal("right")
    await Worker(other_activity, clock).refusal("right")


async def test_guesses_at_once_get_no_more_through_than_one_after_another(
    activity: Database, other_activity: Database, clock: SimpleNamespace
) -> None:
    """Each is counted before it is checked, whichever worker it comes to."""
    workers = [Worker(activity, clock), Worker(other_activity, clock), Worker(activity, clock)]

    outcomes = await asyncio.gather(
        *(worker.login(f"guess {number}") for worker in workers for number in range(20)), return_exceptions=True
    )

    assert outcomes.count(False) == 3
    assert sum(isinstance(outcome, TooManyAttempts | TooManyLogins) for outcome in outcomes) == 57
    assert sum(len(worker.checked) for worker in workers) == 3


async def test_right_ones_at_once_are_all_let_in(
    activity: Database, other_activity: Database, clock: SimpleNamespace
) -> None:
    """Many programs of one user start at once behind one address: none is taken for a guesser."""
    workers = [Worker(each, clock, most=1) for each in (activity, other_activity, activity)]

    outcomes = await asyncio.gather(*(worker.login("right") for worker in workers for _ in range(20)))

    assert outcomes == [True] * 60
    assert sum(len(worker.checked) for worker in workers) == 3


async def test_check_that_cannot_be_made_counts_for_nothing(worker: Worker) -> None:
    """A queue that is full says nothing about a password."""

    async def refuse() -> bool:
        raise TooManyLogins

    for _ in range(5):
        with pytest.raises(TooManyLogins):
            await worker.attempt(refuse)

    assert await worker.login("right")


async def test_check_that_is_broken_off_counts_as_wrong(worker: Worker) -> None:
    """Nobody tries for free by hanging up."""

    for _ in range(3):
        begun = asyncio.Event()

        async def wait(begun: asyncio.Event = begun) -> bool:
            begun.set()
            return await asyncio.Event().wait()

        attempt = asyncio.ensure_future(worker.attempt(wait))
        await begun.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt

    await worker.refusal("right")


async def test_who_waits_for_a_turn_and_goes_away_leaves_nothing(worker: Worker) -> None:
    """The next in turn is let in."""
    begun, go = asyncio.Event(), asyncio.Event()

    async def wait() -> bool:
        begun.set()
        return await go.wait()

    first = asyncio.ensure_future(worker.attempt(wait))
    await begun.wait()
    second = asyncio.ensure_future(worker.login("guess"))
    await asyncio.sleep(0)
    second.cancel()
    go.set()

    assert await first
    assert await worker.login("right")
    assert worker.checked == []


async def test_rows_name_neither_users_nor_clients(worker: Worker, activity: Database) -> None:
    """Whoever reads the table learns not even which names were tried."""
    await worker.fail(1)

    rows = await activity.read(login_failures)

    assert [len(id_) for id_ in rows] == [64, 64]
    assert not any("bob" in id_ or HOME in id_ for id_ in rows)


async def test_rows_are_keyed_by_the_secrets_key(worker: Worker, activity: Database, clock: SimpleNamespace) -> None:
    """The same name and address are another digest in another registry."""
    await worker.fail(3)
    elsewhere = Worker(activity, clock, secrets_key=bytes(32))

    assert await elsewhere.login("right")


async def test_sweep_removes_what_is_forgotten(worker: Worker, activity: Database, clock: SimpleNamespace) -> None:
    counts = SharedCounts(activity, lambda: clock.time)
    await worker.fail(3)
    clock.time += 59
    await counts.sweep()
    await worker.refusal("right")
    clock.time += 1

    await counts.sweep()

    assert await activity.read(login_failures) == []


async def test_worker_counts_alone_while_the_database_is_away(activity: Database, clock: SimpleNamespace) -> None:
    """Who reads has to log in, and can; who guesses has to wait, as always."""
    worker = Worker(activity, clock)
    await activity.close()

    assert await worker.login("right", name="ann")
    await worker.fail(2)
    assert await worker.login("right")
    await worker.fail(1)

    assert await worker.refusal("right") == 60
    assert await worker.login("right", client="192.0.2.8")
    clock.time += 60
    assert await worker.login("right")


async def test_client_that_tries_many_names_is_refused_without_the_database(
    activity: Database, clock: SimpleNamespace
) -> None:
    worker = Worker(activity, clock)
    await activity.close()

    for number in range(45):
        await worker.fail(2, name=f"user{number}")

    await worker.refusal("right", name="ann")


@pytest.mark.parametrize("address", ["2001:db8::1", "2001:db8::ffff:1:2:3", "2001:DB8:0:0:1::"])
def test_addresses_of_one_customer_are_one_client(address: str) -> None:
    """Whoever has one address of a /64 has them all."""
    assert network_of(address) == "2001:db8::/64"


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unknown", "unknown"),
    ],
)
def test_other_clients_are_told_apart(address: str, client: str) -> None:
    """An IPv4 client is one address, however it is written; what is no address stands for itself."""
    assert network_of(address) == client
