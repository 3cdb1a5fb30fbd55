"""Making keys and certificates for guests, and the fingerprints by which people tell them apart."""

import base64
import hashlib
from datetime import timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aerostat.kernel import clock

from .errors import InvalidKeypair


def generate_ssh(comment: str) -> tuple[str, str]:
    """A new RSA key: (public line, private key in PEM)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return f"{public.decode()} {comment}\n", private.decode()


def generate_certificate(subject: str) -> tuple[str, str]:
    """A new RSA key with a certificate signed by itself, both in PEM, for guests that sign in by certificate."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject[:64])])
    at = clock.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at)
        .not_valid_after(at + timedelta(days=3650))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def ssh_fingerprint(public_key: str) -> str:
    """MD5 of the key with colons, as the API shows it. Raises `InvalidKeypair`."""
    words = public_key.split(None, 2)
    if len(words) < 2:
        raise InvalidKeypair(reason="failed to generate fingerprint")
    try:
        serialization.load_ssh_public_key(" ".join(words[:2]).encode())
        raw = base64.b64decode(words[1], validate=True)
    except (ValueError, UnsupportedAlgorithm, UnicodeEncodeError):
        raise InvalidKeypair(reason="failed to generate fingerprint") from None
    digest = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    return ":".join(digest[place : place + 2] for place in range(0, 32, 2))


def certificate_fingerprint(certificate: str) -> str:
    """SHA-1 of an X.509 certificate with colons. Raises `InvalidKeypair`."""
    try:
        loaded = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError:
        raise InvalidKeypair(
            reason="failed to generate X509 fingerprint. Error message: not a certificate"
        ) from None
    digest = loaded.fingerprint(hashes.SHA1()).hex()
    return ":".join(digest[place : place + 2] for place in range(0, 40, 2)).upper()
