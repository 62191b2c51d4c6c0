"""The numbers of the whole application."""

from prometheus_client.parser import text_string_to_metric_families

from tests.http.client import Registry, eventually
from tests.http.documents import ABSENT

BLOB = b"x" * 70_000


async def numbers(registry: Registry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = await registry.get("/metrics", authorization=None)
    assert answer.status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def requests(method: str, action: str, status: int) -> tuple[str, frozenset[tuple[str, str]]]:
    labels = {("method", method), ("action", action), ("status", str(status))}
    return "lading_http_requests_total", frozenset(labels)


async def test_requests_are_counted_by_method_action_and_status(registry: Registry) -> None:
    """What succeeded, what was refused, what was not there."""
    digest = await registry.push_blob("a", BLOB)
    for _ in range(3):
        await registry.get(f"/v2/a/blobs/{digest}")
    await registry.get(f"/v2/a/blobs/{ABSENT}")
    await registry.get(f"/v2/a/blobs/{digest}", authorization=None)

    found = await numbers(registry)

    assert found[requests("POST", "ecr:InitiateLayerUpload", 201)] == 1
    assert found[requests("GET", "ecr:GetDownloadUrlForLayer", 200)] == 3
    assert found[requests("GET", "ecr:GetDownloadUrlForLayer", 404)] == 1
    assert found[requests("GET", "ecr:GetDownloadUrlForLayer", 401)] == 1


async def test_bytes_are_counted_both_ways(registry: Registry) -> None:
    """Also those that the kernel sends."""
    digest = await registry.push_blob("a", BLOB)
    await registry.get(f"/v2/a/blobs/{digest}")
    await registry.get(f"/v2/a/blobs/{digest}", headers=[("Range", "bytes=0-999")])

    uploads = frozenset({("action", "ecr:InitiateLayerUpload")})
    downloads = frozenset({("action", "ecr:GetDownloadUrlForLayer")})
    # A client has the last byte before the server has counted it.
    found = await eventually(
        lambda: numbers(registry), lambda found: found.get(("lading_http_request_seconds_count", downloads)) == 2
    )

    assert found["lading_http_request_bytes_total", uploads] == 70_000
    assert found["lading_http_response_bytes_total", downloads] == 71_000
    assert found["lading_http_request_seconds_count", downloads] == 2


async def test_nobody_can_make_series(registry: Registry) -> None:
    """Names, paths and odd methods are no labels."""
    methods = ["TRACE", "PROPFIND", "MKCOL", "LOCK"] * 5
    for number, method in enumerate(methods):
        await registry.ask(method, f"/v2/r{number}/tags/list")
        await registry.get(f"/nothing/{number}")

    found = await numbers(registry)

    assert found[requests("other", "none", 405)] == 20
    assert found[requests("GET", "none", 404)] == 20
    assert all("/nothing" not in value for _, labels in found for _, value in labels)
