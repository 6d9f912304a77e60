"""Certificates and private keys in PEM, checked before they are passed to gRPC.

gRPC reports little about invalid ones, and nothing about a certificate that has expired.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from compressor.errors import SettingsError

RSA_BITS_MIN = 1024  # gRPC supports these keys and no others: with an Ed25519 key it starts, but every handshake fails
CURVES = ("secp256r1", "secp384r1", "secp521r1")
BEGIN = re.compile(rb"^-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate chain and the private key of its first certificate, as PEM.

    leaf    the first certificate alone
    names   host names and addresses that it covers
    expiry  of the certificate of the chain that ends first, in seconds since 1970
    """

    chain: bytes
    key: bytes = field(repr=False)
    leaf: bytes
    names: tuple[str, ...]
    expiry: float


def parse_identity(chain: bytes, key: bytes) -> Identity:
    """Return a certificate chain and its key. All certificates must be valid now, and the key must be the first one's.

    Raises SettingsError, with `tls_cert` or `tls_key` as the field.
    """
    certificates = parse_certificates("tls_cert", chain)
    for number, certificate in enumerate(certificates, 1):
        if problem := _invalid_now(certificate):
            which = "" if len(certificates) == 1 else f"(certificate {number} of {len(certificates)}) "
            raise SettingsError("tls_cert", which + problem)
    leaf = certificates[0]
    try:
        public = leaf.public_key()
    except (ValueError, UnsupportedAlgorithm):
        public = None
    if isinstance(public, rsa.RSAPublicKey):
        usable = public.key_size >= RSA_BITS_MIN
    else:
        usable = isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in CURVES
    if public is None or not usable:
        raise SettingsError("tls_cert", "has a key that gRPC does not support, must be RSA, P-256, P-384 or P-521")
    if _public_key_of(key) != public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise SettingsError("tls_key", "is not the private key of the (first) certificate in tls_cert")
    expiry = min(certificate.not_valid_after_utc for certificate in certificates).timestamp()
    return Identity(chain, key, leaf.public_bytes(Encoding.PEM), _names(leaf), expiry)


def check_authorities(field: str, data: bytes) -> None:
    """Raise SettingsError if no certificate is valid now. Some may have expired: old and new authorities overlap."""
    problems = [_invalid_now(certificate) for certificate in parse_certificates(field, data)]
    if all(problems):
        raise SettingsError(field, problems[0])


def parse_certificates(field: str, data: bytes) -> list[x509.Certificate]:
    """Return all certificates, at least one. A block without an end is an error, although the parser skips it."""
    try:
        found = x509.load_pem_x509_certificates(data)
    except ValueError:
        found = []
    if not found or len(found) != len(BEGIN.findall(data)):
        raise SettingsError(field, "must be valid certificates in PEM")
    return found


def _public_key_of(key: bytes) -> bytes:
    try:
        return (
            load_pem_private_key(key, None).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
    except TypeError:
        raise SettingsError("tls_key", "is encrypted, must be a private key without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SettingsError("tls_key", "must be a valid private key in PEM") from None


def _invalid_now(certificate: x509.Certificate) -> str:
    """Return why a certificate is not valid now, or ""."""
    now = datetime.now(UTC)
    if now > certificate.not_valid_after_utc:
        return f"expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if now < certificate.not_valid_before_utc:
        return f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    return ""


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return its subject alternative names, or its common name if it has none."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return tuple(str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
    return (*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress)))
