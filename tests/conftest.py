"""What every test run needs: a heap that stays small, for the collector looks at all of it again and again."""

import gc

from aiohttp import web_app


def pytest_collection_finish() -> None:
    """Keep what was imported and collected out of every later garbage collection: it lives as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)  # measured: half of the time that 700 takes


def pytest_runtest_teardown() -> None:
    """Let go of the applications of the test: aiohttp keeps the handlers of up to 1024 routes, and so their servers."""
    web_app._cached_build_middleware.cache_clear()
