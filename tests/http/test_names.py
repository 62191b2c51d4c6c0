"""Names of repositories: what the grammar allows works everywhere, and what it does not is refused everywhere."""

import pytest

from tests.http.client import Registry
from tests.http.documents import ABSENT, CONFIG_BYTES, IMAGE, image, sha256

LEGAL = [
    "a",
    "0",
    "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p",
    "a.b_c__d-e---f/0.1_2__3-4",
    "blobs",
    "manifests",
    "uploads",
    "tags/list",
    "v2/v2",
    "a/blobs/uploads",
    "a/manifests/b",
    "blobs/uploads/manifests/tags/list/referrers",
    "a/referrers",
    "x" * 255,
    "/".join(["a"] * 128),
    "a/" + "b" * 253,
]
ILLEGAL = [
    "..",
    "a/..",
    "../a",
    "a/../b",
    "%2e%2e",
    "a/%2e%2e/b",
    "%2e%2e%2fb",
    ".",
    "a/./b",
    "a//b",
    "/a",
    "a%2f",
    "A",
    "aB",
    "_a",
    "a_",
    "-a",
    "a-",
    "a.",
    "a..b",
    "a___b",
    "a/_b",
    "a._b",
    "x" * 256,
    "/".join(["a"] * 129),
    "a%00",
    "%00",
    "a%0a",
    "%0aa",
    "a%0d%0aX-Y:%20z",
    "a%20b",
    "%C3%A4",
    "%F0%9F%90%B3",
    "%D9%A1",
    "a+b",
    "a:b",
    "a@b",
    "a%5Cb",
    "a%25",
    "a;b",
    "~a",
    "%FF",
]


@pytest.mark.parametrize("name", LEGAL)
async def test_legal_name_works_end_to_end(registry: Registry, name: str) -> None:
    """Pushed in chunks and at once, listed, pulled, found in the catalog, deleted."""
    location = await registry.start_upload(name)
    patched = await registry.patch(location, CONFIG_BYTES)
    closed = await registry.put(f"{patched.location}&digest={sha256(CONFIG_BYTES)}")
    await registry.push_manifest(name, "latest", image(()))

    assert closed.location == f"/v2/{name}/blobs/{sha256(CONFIG_BYTES)}"
    assert (await registry.get(closed.location)).body == CONFIG_BYTES
    assert (await registry.get(f"/v2/{name}/manifests/latest")).body == image(())
    assert (await registry.get(f"/v2/{name}/tags/list")).document == {"name": name, "tags": ["latest"]}
    assert (await registry.get(f"/v2/{name}/referrers/{ABSENT}")).status == 200
    assert (await registry.get("/v2/_catalog")).document == {"repositories": [name]}
    assert (await registry.delete(f"/v2/{name}/manifests/latest")).status == 202
    assert (await registry.delete(closed.location)).status == 202


@pytest.mark.parametrize("name", LEGAL)
async def test_legal_name_is_covered_by_its_token(registry: Registry, name: str) -> None:
    """The name in a scope is the name in a path."""
    token = await registry.token(f"repository:{name}:pull,push")

    answer = await registry.post(f"/v2/{name}/blobs/uploads/", authorization=token)

    assert answer.status == 202


@pytest.mark.parametrize("name", ILLEGAL)
async def test_illegal_name_is_refused_everywhere(registry: Registry, name: str) -> None:
    """400 for who may ask, whatever is asked; nothing is created."""
    requests = [
        ("POST", f"/v2/{name}/blobs/uploads/", None),
        ("POST", f"/v2/{name}/blobs/uploads/?digest={sha256(b'x')}", b"x"),
        ("PUT", f"/v2/{name}/manifests/latest", image(())),
        ("GET", f"/v2/{name}/manifests/latest", None),
        ("GET", f"/v2/{name}/tags/list", None),
        ("GET", f"/v2/{name}/blobs/{ABSENT}", None),
        ("GET", f"/v2/{name}/referrers/{ABSENT}", None),
        ("DELETE", f"/v2/{name}/manifests/latest", None),
    ]
    for method, path, body in requests:
        answer = await registry.ask(method, path, body=body, headers=[("Content-Type", IMAGE)])

        assert answer.refusal == (400, "NAME_INVALID"), (method, path)
        assert "X-Y" not in answer.headers
    assert (await registry.get("/v2/_catalog")).document == {"repositories": []}
    assert [path for path in registry.root.rglob("[!.]*") if path.parent.name in {"blobs", "uploads"}] == []


@pytest.mark.parametrize("name", ["..", "A", "a//b", "a%0a", "x" * 256])
async def test_illegal_name_is_no_better_known_to_strangers(registry: Registry, name: str) -> None:
    """Without credentials the answer is a challenge, as for any name."""
    answer = await registry.get(f"/v2/{name}/tags/list", authorization=None)

    assert answer.refusal == (401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="http://{registry.host}/auth/token",service="lading"'


async def test_name_cannot_break_out_of_the_challenge(registry: Registry) -> None:
    """Quotes and line ends in a path stay out of the header."""
    answer = await registry.get("/v2/a%22,realm=%22http:%2f%2fevil/tags/list", authorization=None)

    assert answer.status == 401
    assert "evil" not in answer.headers["WWW-Authenticate"]
