"""The certificate of registries that speak TLS on a loopback address, and clients that trust nothing else."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
_VALID = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Pair:
    """Where a certificate and its key are, in PEM."""

    certificate: Path
    key: Path


def pair_in(folder: Path) -> Pair:
    """The pair of a folder, made when it is first asked for: P-256, signed by itself, for the loopback address."""
    pair = Pair(folder / "certificate.pem", folder / "key.pem")
    if not pair.certificate.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        pair.certificate.write_bytes(_signed(key, datetime.now(UTC)).public_bytes(serialization.Encoding.PEM))
    return pair


def trusting(certificate: Path) -> ssl.SSLContext:
    """A client's context: TLS 1.3 with whoever has the key of a certificate; it asks for no HTTP but 1.1."""
    context = ssl.create_default_context(cafile=certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    public = key.public_key()
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))])
    return (
        x509.CertificateBuilder(_NAME, _NAME, public, x509.random_serial_number(), now - _VALID, now + _VALID)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
