"""Whatever is done in whatever order, repositories read what they should, however it is stored."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from registry.core.names import RepositoryName
from storage.digest import Digest
from tests.contracts.database_places import Place
from tests.registry.core.sealing import GAMMA, TEAM, SealingCore, open_sealing_core
from tests.registry.core.services import ALPHA, BETA, Clock

CONTENTS: Final = (b"one", b"two " * 10_000)
REPOSITORIES: Final = (ALPHA, BETA, GAMMA)

repositories = st.sampled_from(REPOSITORIES)
contents = st.sampled_from((0, 1))
Action = (
    tuple["str", RepositoryName, int]
    | tuple["str", RepositoryName, RepositoryName, int]
    | tuple["str", str]
    | tuple["str", int]
    | tuple["str"]
)
actions: st.SearchStrategy[Action] = st.one_of(
    st.tuples(st.just("push"), repositories, contents),
    st.tuples(st.just("delete"), repositories, contents),
    st.tuples(st.just("mount"), repositories, repositories, contents),
    st.tuples(st.just("rotate"), st.sampled_from(("AES256", TEAM))),
    st.tuples(st.just("convert"), st.integers(1, 3)),
    st.tuples(st.just("convert of"), st.sampled_from(("AES256", TEAM))),
    st.tuples(st.just("turn")),
    st.tuples(st.just("wait")),
)


class Model:
    """What each repository reads, and the core that should give it."""

    def __init__(self, core: SealingCore) -> None:
        self.core = core
        self.there: set[tuple[RepositoryName, int]] = set()

    async def do(self, action: Action) -> None:
        """Do one thing."""
        match action:
            case ("push", repository, content):
                await self.core.push_to(CONTENTS[content], repository)
                self.there.add((repository, content))
            case ("delete", repository, content) if (repository, content) in self.there:
                await self.core.blobs.delete(repository, Digest.of(CONTENTS[content]))
                self.there.remove((repository, content))
            case ("mount", source, target, content):
                await self._mount(source, target, content)
            case _:
                await self._change_storage(action)

    async def _change_storage(self, action: Action) -> None:
        match action:
            case ("rotate", str() as domain):
                await self.core.domains.rotate(domain)
            case ("convert", int() as most):
                await self.core.convert(most=most)
            case ("convert of", str() as domain):
                await self.core.convert(domain)
            case ("turn",):
                self.core.turn(seals=not self.core.encrypts)
            case ("wait",):
                await self.core.settle()

    async def _mount(self, source: RepositoryName, target: RepositoryName, content: int) -> None:
        async def choose(_names: object) -> RepositoryName:
            return source

        mounted = await self.core.blobs.mount(
            target, Digest.of(CONTENTS[content]), source=source, choose=choose, create=False
        )
        assert mounted is ((source, content) in self.there)
        if mounted:
            self.there.add((target, content))

    async def check(self) -> None:
        """Everything that is there is read."""
        for repository, content in self.there:
            assert await self.core.read(Digest.of(CONTENTS[content]), repository) == CONTENTS[content]

    async def finish(self) -> None:
        """Have everything as it is wanted: nothing else is stored."""
        await self.core.convert()
        await self.core.settle()
        assert await self.core.work().count() == 0
        assert {domain != "" for domain, _ in await self.core.served()} <= {self.core.encrypts}
        await self.check()
        await self.core.assert_nothing_else_is_stored()


@settings(max_examples=5, deadline=None)
@given(done=st.lists(actions, min_size=8, max_size=20))
def test_every_order_of_actions_is_survived(template: Place, done: list[Action]) -> None:
    asyncio.run(_run(template, done))


async def _run(template: Place, done: list[Action]) -> None:
    with TemporaryDirectory() as folder:
        async with template.copied(Path(folder)) as place, open_sealing_core(place, Clock()) as core:
            model = Model(core)
            for action in done:
                await model.do(action)
                await model.check()
            await model.finish()
