"""Files of certificates, private keys and bearer tokens, for both sides of a connection.

An incomplete configuration, or a file that can't be used, is a SettingsError that names the setting: there is no
fallback to plaintext.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

from compressor.errors import SettingsError

if TYPE_CHECKING:  # its library takes 10 MB of memory, and most servers and clients use no TLS
    from compressor.certificates import Identity

FILE_BYTES_MAX = 4 << 20  # a bundle of all public authorities takes 0.25 MB
TOKEN = re.compile(rb"[!-~]+")  # characters that an HTTP/2 header transmits unchanged
HASHED = re.compile(rb"^\s*\S+\s+sha256:", re.MULTILINE)


def read_identity(cert: str | None, key: str | None) -> "Identity | None":
    """Read and check `tls_cert` and `tls_key`; None if neither is given."""
    if cert is None and key is None:
        return None
    if key is None:
        raise SettingsError("tls_key", "is missing: tls_cert needs its private key")
    if cert is None:
        raise SettingsError("tls_cert", "is missing: tls_key needs its certificate")
    chain, private = read_file("tls_cert", cert), read_file("tls_key", key)
    certificates = _certificates("tls_cert")
    with _naming_files({"tls_cert": cert, "tls_key": key}):
        identity: Identity = certificates.parse_identity(chain, private)
        return identity


def read_authorities(field: str, path: str) -> bytes:
    """Read and check the certificates of the authorities that the other side's certificate must come from."""
    data = read_file(field, path)
    certificates = _certificates(field)
    with _naming_files({field: path}):
        certificates.check_authorities(field, data)
    return data


def _certificates(field: str) -> ModuleType:
    """Return the module that checks certificates. Raise SettingsError if its library is not installed."""
    try:
        from compressor import certificates
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "cryptography":
            raise
        raise SettingsError(field, "needs a library that checks certificates: install 'compressor[tls]'") from None
    return certificates


def read_token(path: str) -> str:
    """Read the token that a client sends: the first line that is not empty."""
    line = next(line for line in read_file("token_file", path).splitlines() if line.strip()).strip()
    if not TOKEN.fullmatch(line):
        problem = "must begin with a token, of visible ASCII characters without a space"
        hint = ": these are the hashes that a server reads" if HASHED.search(line) else ""
        raise SettingsError("token_file", f"{path}: {problem}{hint}")
    return line.decode()


def has_hashes(path: str) -> bool:
    """Return whether a file of tokens is that of a server, which has only their hashes."""
    return HASHED.search(read_file("token_file", path)) is not None


def read_file(field: str, path: str) -> bytes:
    """Return the content of a file that must not be empty."""
    if not path:
        raise SettingsError(field, "is empty, must name a file")
    try:
        with open(path, "rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        problem = (isinstance(error, OSError) and error.strerror) or str(error)
        raise SettingsError(field, f"{path}: can't be read: {problem}") from None
    if len(data) > FILE_BYTES_MAX:
        raise SettingsError(field, f"{path}: is larger than {FILE_BYTES_MAX} bytes")
    if not data.strip():
        raise SettingsError(field, f"{path}: is empty")
    return data


@contextmanager
def _naming_files(paths: dict[str, str]) -> Iterator[None]:
    """Add the name of the file to the error of a setting."""
    try:
        yield
    except SettingsError as error:
        raise SettingsError(error.field, f"{paths[error.field]}: {error.problem}") from None
