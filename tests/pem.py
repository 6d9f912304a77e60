"""Certificates and keys for tests, made on request."""

import ipaddress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from compressor.service.tenants import line_of

DAY = timedelta(days=1)
LOCAL = ("localhost", "127.0.0.1")


class Pem:
    """A certificate, signed by `issuer` or by itself. `days`: its validity, from and to, relative to now."""

    def __init__(
        self,
        name: str,
        issuer: "Pem | None" = None,
        days: tuple[float, float] = (-1, 2),
        names: tuple[str, ...] = LOCAL,
        key: Any = None,
    ) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        by = issuer or self
        alternatives = [
            x509.IPAddress(ipaddress.ip_address(one)) if one[0].isdigit() else x509.DNSName(one) for one in names
        ]
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(by.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) + days[0] * DAY)
            .not_valid_after(datetime.now(UTC) + days[1] * DAY)
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        is_ed = isinstance(by.key, ed25519.Ed25519PrivateKey)
        self.cert = builder.sign(by.key, None if is_ed else hashes.SHA256()).public_bytes(Encoding.PEM)

    def private(self, passphrase: bytes | None = None) -> bytes:
        encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@lru_cache(1)
def pems() -> dict[str, Pem]:
    """Return two authorities, and certificates of the first: for a server, for one with another name, for a client."""
    authority = Pem("authority", names=())
    return {
        "ca": authority,
        "other-ca": Pem("other authority", names=()),
        "server": Pem("server", authority),
        "far": Pem("far", authority, names=("*.compressor.example",)),
        "client": Pem("client", authority, names=()),
        "stranger": Pem("stranger", names=()),
    }


def write(folder: Path) -> Path:
    """Write each as NAME.crt and NAME.key, a file of tokens and one of their hashes for a server, another token, and
    invalid files as `bad-…`."""
    made = pems()
    for name, pem in made.items():
        (folder / f"{name}.crt").write_bytes(pem.cert)
        (folder / f"{name}.key").write_bytes(pem.private())
    expired, future = Pem("server", made["ca"], days=(-9, -1)), Pem("server", made["ca"], days=(1, 2))
    odd = Pem("server", key=ed25519.Ed25519PrivateKey.generate())
    for name, pem in (("expired", expired), ("future", future), ("odd", odd)):
        (folder / f"bad-{name}.crt").write_bytes(pem.cert)
        (folder / f"bad-{name}.key").write_bytes(pem.private())
    server = made["server"]
    for name, data in {
        "bad-empty": b"",
        "bad-blank": b"\n\n",
        "bad-text": b"no certificate, no key, no token\n",
        "bad-der": b"\x30\x82\x01\x00" * 99,
        "bad-cut.crt": server.cert[:-200],
        "bad-chain-cut.crt": server.cert + made["ca"].cert[:-200],
        "bad-chain-expired.crt": server.cert + Pem("authority", days=(-9, -1)).cert,
        "bad-cut.key": server.private()[:-60],
        "bad-encrypted.key": server.private(b"secret"),
        "both-in-one": server.private() + server.cert,
        "overlapping-authorities.crt": Pem("authority", days=(-9, -1)).cert + made["ca"].cert,
        "tokens": b"first-token\nsecond-token\n",
        "tenants": "\n".join(line_of("shop", token) for token in ("first-token", "second-token")).encode(),
        "wrong-tokens": b"third-token\n",
        "bad-tokens": "fünf\n".encode(),
    }.items():
        (folder / name).write_bytes(data)
    return folder
