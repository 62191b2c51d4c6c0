"""Documents from servers that nobody vouches for, and all the ways in which they are not had."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from registry.upstream.documents import MOST_BYTES, AddressRefused, DocumentRefused, Documents
from tests.auth.issuer import Issuer, issuing

PUBLIC = "https://issuer.example.com/document"


class FakeResolver(AbstractResolver):
    """Every name has these addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 (the signature is aiohttp's)
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as running:
        yield running


@pytest.fixture
async def documents() -> AsyncIterator[Documents]:
    documents = Documents(seconds=0.5)
    yield documents
    await documents.close()


async def refusal(documents: Documents, url: str, *, allow_private: bool = True) -> str:
    with pytest.raises(DocumentRefused) as raised:
        await documents.fetch(url, allow_private=allow_private)
    return str(raised.value)


async def test_a_document_is_what_the_server_sent(issuer: Issuer, documents: Documents) -> None:
    issuer.answers["/document"] = lambda: web.Response(body=b'{"a": 1}')

    assert await documents.fetch(f"{issuer.url}/document", allow_private=True) == b'{"a": 1}'


async def test_nothing_secret_is_sent(
    issuer: Issuer, documents: Documents, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """No cookie that was set before, no credential, whatever lies in the environment."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))

    def answer() -> web.Response:
        response = web.Response()
        response.set_cookie("session", "secret")
        return response

    issuer.answers["/document"] = answer
    await documents.fetch(f"{issuer.url}/document", allow_private=True)
    await documents.fetch(f"{issuer.url}/document", allow_private=True)

    assert [set(headers) & {"Cookie", "Authorization"} for headers in issuer.headers] == [set(), set()]


async def test_no_proxy_is_asked(issuer: Issuer, documents: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")

    assert await documents.fetch(f"{issuer.url}/keys", allow_private=True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/meta-data/", "/keys"])
async def test_no_redirect_is_followed(issuer: Issuer, documents: Documents, status: int, target: str) -> None:
    issuer.answers["/document"] = lambda: web.Response(status=status, headers={"Location": target})

    assert await refusal(documents, f"{issuer.url}/document") == "it redirects, which is not followed"
    assert issuer.asked == ["/document"]


@pytest.mark.parametrize("status", [201, 204, 401, 404, 500])
async def test_only_200_brings_a_document(issuer: Issuer, documents: Documents, status: int) -> None:
    issuer.answers["/document"] = lambda: web.Response(status=status)

    assert await refusal(documents, f"{issuer.url}/document") == f"it answers {status}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1", "0"])
async def test_a_private_server_is_not_connected_to(issuer: Issuer, documents: Documents, host: str) -> None:
    """However its address is written."""
    await refusal(documents, issuer.url.replace("127.0.0.1", host) + "/keys", allow_private=False)

    assert issuer.asked == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "0.0.0.0"],
)
async def test_a_name_that_leads_to_a_private_address_is_not_connected_to(address: str) -> None:
    documents = Documents(seconds=0.5, resolver=FakeResolver(address))

    with pytest.raises(AddressRefused):
        await documents.fetch(PUBLIC, allow_private=False)
    await documents.close()


async def test_a_name_is_refused_while_a_server_waits_at_its_private_address(issuer: Issuer) -> None:
    port = issuer.url.rpartition(":")[2]
    documents = Documents(seconds=0.5, resolver=FakeResolver("127.0.0.1", "::1", "127.0.0.2"))

    reason = await refusal(documents, f"http://issuer.example.com:{port}/keys", allow_private=False)

    assert reason == "it is at an address that may not be asked"
    assert issuer.asked == []
    await documents.close()


async def test_metadata_is_not_asked_for_even_on_private_networks() -> None:
    documents = Documents(seconds=0.5, resolver=FakeResolver("169.254.169.254"))

    with pytest.raises(AddressRefused):
        await documents.fetch(PUBLIC, allow_private=True)
    await documents.close()


async def test_what_was_allowed_to_one_is_not_to_another(issuer: Issuer, documents: Documents) -> None:
    """No connection of a provider that may be on a private network serves one that may not."""
    await documents.fetch(f"{issuer.url}/keys", allow_private=True)

    await refusal(documents, f"{issuer.url}/keys", allow_private=False)

    assert issuer.asked == ["/keys"]


async def test_a_document_of_256_kib_is_the_longest(issuer: Issuer, documents: Documents) -> None:
    issuer.answers["/longest"] = lambda: web.Response(body=bytes(MOST_BYTES))
    issuer.answers["/longer"] = lambda: web.Response(body=bytes(MOST_BYTES + 1))

    assert len(await documents.fetch(f"{issuer.url}/longest", allow_private=True)) == 256 * 1024
    assert await refusal(documents, f"{issuer.url}/longer") == "its answer is longer than 262144 bytes"


async def test_a_small_answer_does_not_unfold_to_a_large_one(issuer: Issuer, documents: Documents) -> None:
    packed = gzip.compress(bytes(10 * MOST_BYTES))
    issuer.answers["/document"] = lambda: web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    assert await documents.fetch(f"{issuer.url}/document", allow_private=True) == packed


async def test_a_server_that_holds_its_answer_is_not_waited_for(issuer: Issuer, documents: Documents) -> None:
    issuer.held = asyncio.Event()

    assert await refusal(documents, f"{issuer.url}/keys") == "it does not answer in time"


@asynccontextmanager
async def speaking(*pieces: bytes) -> AsyncIterator[str]:
    """A server that sends these to whoever connects, a piece every 50 ms."""
    done = asyncio.Event()

    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            if len(pieces) > 1:
                await asyncio.sleep(0.05)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        done.set()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await done.wait()
    finally:
        server.close()


async def test_a_server_that_drips_is_not_waited_for(documents: Documents) -> None:
    async with speaking(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *[b"x"] * 15) as url:
        assert await refusal(documents, url) == "it does not answer in time"


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000 + b"\r\n"]
)
async def test_what_is_no_http_server_brings_nothing(documents: Documents, answer: bytes) -> None:
    async with speaking(answer) as url:
        assert await refusal(documents, url) == "it cannot be reached"


async def test_a_server_that_is_not_there_is_not_told_from_one_that_refuses(documents: Documents) -> None:
    """The reason is shown to strangers: it says nothing about ports and names on the network here."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = await refusal(documents, f"http://127.0.0.1:{unused.getsockname()[1]}/")
    unknown = await refusal(documents, "http://does-not-exist.invalid/")

    assert (closed, unknown) == ("it cannot be reached", "it cannot be reached")


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> Callable[[], ssl.SSLContext]:
    def make() -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        return context

    return make


def serving(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_a_server_proves_its_name(authority: trustme.CA, trusting: Callable[[], ssl.SSLContext]) -> None:
    """The name of the URL, although it is the checked address that is connected to."""
    async with issuing("issuer.example.com", tls=serving(authority, "issuer.example.com")) as issuer:
        documents = Documents(tls=trusting(), resolver=FakeResolver("127.0.0.1"))
        try:
            assert await documents.fetch(f"{issuer.url}/keys", allow_private=True)
        finally:
            await documents.close()


async def test_a_server_with_another_name_or_authority_is_not_believed(
    authority: trustme.CA, trusting: Callable[[], ssl.SSLContext]
) -> None:
    untrusted = "its certificate is not one that is trusted"
    resolver = FakeResolver("127.0.0.1")
    async with issuing("issuer.example.com", tls=serving(authority, "other.example.com")) as issuer:
        for tls in (trusting(), None):
            documents = Documents(tls=tls, resolver=resolver)
            assert await refusal(documents, f"{issuer.url}/keys") == untrusted
            await documents.close()
        assert issuer.asked == []
