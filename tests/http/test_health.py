"""Health and readiness of the whole application."""

import pytest

from tests.http.client import Registry


@pytest.mark.parametrize("authorization", [None, "Bearer nonsense"])
async def test_health_asks_for_no_credentials(registry: Registry, authorization: str | None) -> None:
    """A load balancer has none."""
    answer = await registry.get("/healthz", authorization=authorization)

    assert (answer.status, answer.document) == (200, {"status": "ok"})
    assert answer.headers["Cache-Control"] == "no-store"


async def test_ready_when_database_and_content_take_a_write(registry: Registry) -> None:
    """Every part is named."""
    answer = await registry.get("/readyz", authorization=None)

    assert answer.status == 200
    assert answer.document == {
        "status": "ok",
        "parts": {"database": {"ok": True}, "activity": {"ok": True}, "content": {"ok": True}},
    }


@pytest.mark.settings(storage={"reserve": 1 << 60})
async def test_full_disk_is_not_ready(registry: Registry) -> None:
    """The part is named, and reading goes on."""
    answer = await registry.get("/readyz", authorization=None)

    assert answer.status == 503
    assert answer.document["status"] == "unavailable"
    assert answer.document["parts"]["database"] == {"ok": True}
    assert "no space" in answer.document["parts"]["content"]["reason"]
    assert (await registry.get("/v2/")).status == 200


async def test_database_that_takes_no_write_is_not_ready(registry: Registry) -> None:
    """The part is named; the reason tells nothing of the inside."""
    for file in registry.root.glob("registry.db*"):
        file.write_bytes(b"\0" * file.stat().st_size)

    answer = await registry.get("/readyz", authorization=None)

    assert answer.status == 503
    assert answer.document["parts"]["database"]["ok"] is False
    assert answer.document["parts"]["content"] == {"ok": True}


async def test_activity_that_takes_no_write_is_not_ready(registry: Registry) -> None:
    """Without it no upload can begin."""
    for file in registry.root.glob("activity.db*"):
        file.write_bytes(b"\0" * file.stat().st_size)

    answer = await registry.get("/readyz", authorization=None)

    assert answer.status == 503
    assert answer.document["parts"]["activity"]["ok"] is False
    assert answer.document["parts"]["database"] == {"ok": True}


async def test_database_file_that_was_moved_is_not_ready(registry: Registry) -> None:
    """Whatever it took would be lost."""
    assert (await registry.get("/v2/")).status == 200
    (registry.root / "registry.db").rename(registry.root / "moved.db")

    answer = await registry.get("/readyz", authorization=None)

    assert answer.status == 503
    assert "was moved" in answer.document["parts"]["database"]["reason"]


async def test_content_directory_that_is_away_is_not_ready(registry: Registry) -> None:
    """Its disk is not mounted."""
    (registry.root / "blobs").rename(registry.root / "away")

    answer = await registry.get("/readyz", authorization=None)

    assert answer.status == 503
    assert "is its disk mounted" in answer.document["parts"]["content"]["reason"]
    assert not (registry.root / "blobs").exists()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_operators_paths_answer_head(registry: Registry, path: str) -> None:
    """Some probes send nothing else."""
    assert (await registry.head(path, authorization=None)).status == 200
