"""Client certificates: whom they log in, and where they count for nothing."""

import datetime as dt
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import ClientConnectionError, ClientSession, TCPConnector
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from registry.logs import logger
from registry.tls import Certificate, ClientCertificates
from tests.http.client import ADMIN, USER, Registry, Start
from tests.http.people import PULL, administered, allow

Connect = Callable[..., AbstractAsyncContextManager[Registry]]


class Authority:
    """Issues certificates to servers and clients; its own lies in a file."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.root = trustme.CA()
        self.folder = folder
        self.file = folder / f"{name}.pem"
        self.root.cert_pem.write_to_path(self.file)

    def issue(self, *names: str, days: int = 1, usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH) -> Path:
        """A file with a certificate with these common names, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        authority = x509.load_pem_x509_certificate(self.root.cert_pem.bytes())
        signer = serialization.load_pem_private_key(self.root.private_key_pem.bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        built = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names]))
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=10))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(signer, hashes.SHA256())
        )
        file = self.folder / f"client-{built.serial_number}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
        return file


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(authority: Authority, tmp_path: Path) -> Callable[..., Certificate]:
    """The certificate of a server that asks for those of clients."""

    def make(*, required: bool = False) -> Certificate:
        issued = authority.root.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(tmp_path / "key.pem")
        issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
        clients = ClientCertificates(authority.file, required=required)
        return Certificate(tmp_path / "certificate.pem", tmp_path / "key.pem", logger(), clients)

    return make


@asynccontextmanager
async def showing(registry: Registry, certificate: Path | None) -> AsyncIterator[Registry]:
    """The same registry for a client with this certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate)
    async with ClientSession(connector=TCPConnector(ssl=context, force_close=True)) as session:
        yield replace(registry, session=session)


@pytest.fixture
def connect(start: Start, server: Callable[..., Certificate]) -> Connect:
    """A registry that asks for certificates, and a client with one."""

    @asynccontextmanager
    async def begin(certificate: Path | None, *, required: bool = False, **sections: Any) -> AsyncIterator[Registry]:
        context = server(required=required).context
        async with start(tls=context, **sections) as registry, showing(registry, certificate) as client:
            yield client

    return begin


async def test_a_certificate_logs_in_the_user_that_it_names(connect: Connect, authority: Authority) -> None:
    async with connect(authority.issue("bob")) as registry:
        answer = await registry.get("/v2/", authorization=None)

    assert answer.status == 200


async def test_a_certificate_brings_the_policies_of_its_user(connect: Connect, authority: Authority) -> None:
    async with connect(authority.issue("bob")) as registry, administered(registry.root) as people:
        before = await registry.get("/v2/app/tags/list", authorization=None)
        await people.give("bob", allow(*PULL, "ecr:ListImages"))
        after = await registry.get("/v2/app/tags/list", authorization=None)

    assert before.refusal == (403, "DENIED")
    assert ":user/bob is not allowed" in before.message
    assert after.refusal == (404, "NAME_UNKNOWN")


async def test_a_certificate_of_the_root_user_is_the_root_users(connect: Connect, authority: Authority) -> None:
    async with connect(authority.issue("admin")) as registry:
        answer = await registry.get("/v2/_catalog", authorization=None)

    assert answer.status == 200


async def test_an_authorization_header_comes_before_a_certificate(connect: Connect, authority: Authority) -> None:
    """Also a wrong one: whoever sends it does not mean to be the certificate's user."""
    async with connect(authority.issue("admin")) as registry:
        as_bob = await registry.get("/v2/app/tags/list", authorization=USER)
        wrong = await registry.get("/v2/", authorization="Basic wrong")

    assert ":user/bob" in as_bob.message
    assert wrong.status == 401


async def test_a_certificate_fetches_a_token_for_its_user(connect: Connect, authority: Authority) -> None:
    async with connect(authority.issue("admin")) as registry:
        answer = await registry.get("/auth/token?scope=repository:app:pull", authorization=None)

    async with connect(None) as registry:
        token = f"Bearer {answer.document['token']}"
        assert (await registry.get("/v2/app/tags/list", authorization=token)).refusal == (404, "NAME_UNKNOWN")


async def test_without_a_certificate_a_password_will_do(connect: Connect) -> None:
    async with connect(None) as registry:
        with_password = await registry.get("/v2/")
        without = await registry.get("/v2/", authorization=None)

    assert (with_password.status, without.status) == (200, 401)


async def test_without_a_required_certificate_there_is_no_connection(connect: Connect, authority: Authority) -> None:
    async with connect(None, required=True) as registry:
        with pytest.raises(ClientConnectionError):
            await registry.get("/v2/")
        async with showing(registry, authority.issue("bob")) as with_certificate:
            assert (await with_certificate.get("/v2/", authorization=None)).status == 200


@pytest.mark.parametrize(
    "names",
    [(), ("nobody",), ("bob", "admin"), ("bob", "bob"), ("BOB",), ("bob\x00",), ("bob/admin",), ("anonymous",)],
    ids=str,
)
async def test_a_certificate_that_does_not_name_one_user_is_refused(
    connect: Connect, authority: Authority, names: tuple[str, ...]
) -> None:
    async with connect(authority.issue(*names)) as registry:
        answer = await registry.get("/v2/", authorization=None)

    assert answer.refusal == (401, "UNAUTHORIZED")


async def test_a_certificate_of_a_disabled_user_is_refused(connect: Connect, authority: Authority) -> None:
    async with connect(authority.issue("bob")) as registry, administered(registry.root) as people:
        await people.accounts.update_user("bob", disabled=True)
        answers = [await registry.get(path, authorization=None) for path in ("/v2/", "/auth/token")]

    assert [answer.refusal for answer in answers] == [(401, "UNAUTHORIZED")] * 2


@pytest.mark.parametrize("case", ["foreign", "expired", "server"])
async def test_a_certificate_that_cannot_be_verified_ends_the_handshake(
    connect: Connect, authority: Authority, tmp_path: Path, case: str
) -> None:
    """Of another authority, out of its time, or made for servers."""
    certificate = {
        "foreign": lambda: Authority(tmp_path, "foreign").issue("admin"),
        "expired": lambda: authority.issue("admin", days=-1),
        "server": lambda: authority.issue("admin", usage=ExtendedKeyUsageOID.SERVER_AUTH),
    }[case]()

    async with connect(certificate) as registry:
        with pytest.raises(ClientConnectionError):
            await registry.get("/v2/", authorization=None)


async def test_the_certificate_of_a_proxy_is_not_its_clients(connect: Connect, authority: Authority) -> None:
    async with connect(authority.issue("admin"), server={"trusted_proxies": "127.0.0.1"}) as registry:
        answer = await registry.get("/v2/", authorization=None)

    assert answer.status == 401


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 401), ("same-site", 401), ("same-origin", 200), ("none", 200)]
)
async def test_another_site_cannot_use_the_certificate_of_a_browser(
    connect: Connect, authority: Authority, site: str, status: int
) -> None:
    async with connect(authority.issue("admin")) as registry:
        answer = await registry.get("/v2/", headers=[("Sec-Fetch-Site", site)], authorization=None)

    assert answer.status == status


async def test_another_file_of_authorities_counts_from_the_next_handshake(
    start: Start, server: Callable[..., Certificate], authority: Authority, tmp_path: Path
) -> None:
    """An authority that is no longer in it vouches for nobody, and no session from before is taken up again."""
    certificate = server()
    successor = Authority(tmp_path, "successor")
    old, young = authority.issue("bob"), successor.issue("bob")
    async with start(tls=certificate.context) as registry, showing(registry, old) as client:
        assert (await client.get("/v2/", authorization=None)).status == 200

        authority.file.write_bytes(successor.file.read_bytes())
        certificate.reload()

        with pytest.raises(ClientConnectionError):
            await client.get("/v2/", authorization=None)
        async with showing(registry, young) as client_of_successor:
            assert (await client_of_successor.get("/v2/", authorization=None)).status == 200


async def test_authorities_that_cannot_be_read_do_not_replace_those_in_use(
    start: Start, server: Callable[..., Certificate], authority: Authority
) -> None:
    certificate = server()
    shown = authority.issue("bob")
    authority.file.write_text("broken")
    certificate.reload()

    async with start(tls=certificate.context) as registry, showing(registry, shown) as client:
        assert (await client.get("/v2/", authorization=None)).status == 200


async def test_plain_http_brings_no_certificate(registry: Registry) -> None:
    assert (await registry.get("/v2/", authorization=None)).status == 401
    assert (await registry.get("/v2/", authorization=ADMIN)).status == 200
