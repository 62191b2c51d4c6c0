"""An issuer of identity tokens that the test itself runs: a real server with real keys."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

NOW = 1_700_000_000.0
AUDIENCE = "lading"
DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/keys"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
RSA_KEY = rsa.generate_private_key(65537, 2048)
_OF_KEY_TYPE: dict[type, Callable[..., Any]] = {
    rsa.RSAPublicKey: jwt.algorithms.RSAAlgorithm.to_jwk,
    ec.EllipticCurvePublicKey: jwt.algorithms.ECAlgorithm.to_jwk,
    ed25519.Ed25519PublicKey: jwt.algorithms.OKPAlgorithm.to_jwk,
}


def jwk(key: PrivateKey, **members: Any) -> dict[str, Any]:
    """The public half of a key, as a JWK set has it."""
    public_key = key.public_key()
    to_jwk = next(make for kind, make in _OF_KEY_TYPE.items() if isinstance(public_key, kind))
    described = json.loads(to_jwk(public_key))
    described.pop("key_ops", None)
    return {**described, "use": "sig", **members}


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def claims(issuer: str, **changed: Any) -> dict[str, Any]:
    """The claims of a good token; a claim that is changed to None is left out."""
    good = {"iss": issuer, "sub": "somebody", "aud": AUDIENCE, "iat": NOW, "nbf": NOW, "exp": NOW + 300}
    return {name: value for name, value in {**good, **changed}.items() if value is not None}


def signed(said: dict[str, Any], key: PrivateKey = RSA_KEY, algorithm: str = "RS256", **header: Any) -> str:
    """A token; a header member that is None is left out."""
    members = {"kid": "first", **header}
    sent = {name: value for name, value in members.items() if value is not None}
    return jwt.api_jws.encode(json.dumps(said).encode(), key, algorithm, headers=sent)


@dataclass
class Issuer:
    """What the server says, and how often it was asked; a test changes any of it while it runs."""

    url: str = ""
    keys: list[dict[str, Any]] = field(default_factory=lambda: [jwk(RSA_KEY, kid="first", alg="RS256")])
    discovery: dict[str, Any] = field(default_factory=dict)
    is_away: bool = False
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    held: asyncio.Event | None = None
    answers: dict[str, Callable[[], web.StreamResponse]] = field(default_factory=dict)

    def token(
        self, key: PrivateKey = RSA_KEY, algorithm: str = "RS256", kid: str | None = "first", **changed: Any
    ) -> str:
        """A token of this issuer."""
        return signed(claims(self.url, **changed), key, algorithm, kid=kid)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path)
        self.headers.append(dict(request.headers))
        if self.held is not None:
            await self.held.wait()
        if self.is_away:
            return web.Response(status=503)
        if request.path in self.answers:
            return self.answers[request.path]()
        if request.path.endswith(DISCOVERY):
            return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}{JWKS}", **self.discovery})
        return web.json_response({"keys": self.keys})


@asynccontextmanager
async def issuing(host: str = "127.0.0.1", path: str = "", tls: ssl.SSLContext | None = None) -> AsyncIterator[Issuer]:
    """Serve until the block ends."""
    issuer = Issuer()
    runner = web.ServerRunner(web.Server(issuer.answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    issuer.url = f"{'https' if tls else 'http'}://{host}:{port}{path}"
    try:
        yield issuer
    finally:
        if issuer.held is not None:
            issuer.held.set()
        await runner.cleanup()
