"""Tenants: who may call a service, by bearer tokens of which it knows only the hashes, and what each may use.

The file has a line for each token. Lines with one name are tokens of one tenant: an old and a new one may overlap.

    # NAME  HASH OF A TOKEN  LIMITS
    shop    sha256:9f86d0…   calls=10/s bytes=50MB/s memory=64MiB
    shop    sha256:60303a…   calls=10/s bytes=50MB/s memory=64MiB
    reports sha256:fd61a0…

A fast hash suffices for tokens that are as random as those of `new_token`: nobody can try all of them.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass

from compressor import credentials
from compressor.errors import SettingsError
from compressor.humanize import parse_size
from compressor.service.quotas import Quota, QuotaLimits

TOKEN_BYTES = 32
TOKENS_MAX = 1000  # each call compares all of them
AUTHORIZATIONS_MAX = 2  # fields of a call
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # also a label of metrics
HASH = re.compile(r"sha256:([0-9a-f]{64})")
BEARER = re.compile(rb"bearer +([!-~]+)", re.IGNORECASE)  # RFC 9110, 11.1: schemes have no case
# The lowest value of each limit.
CALLS_MIN, BYTES_MIN, MEMORY_MIN = 0.001, 16 << 10, 1 << 20
NUMBER_MAX = 1e15


class Tenant:
    """A user of the service. It keeps its quota, and what it uses of it, when the file is read again."""

    def __init__(self, name: str, limits: QuotaLimits) -> None:
        self.name = name
        self.quota = Quota(name, limits)

    def __repr__(self) -> str:
        return f"Tenant({self.name!r})"


# The tenant of the present call, set before its handler starts; None if the service has no tokens.
current_tenant: ContextVar[Tenant | None] = ContextVar("current_tenant", default=None)


@dataclass(frozen=True, slots=True)
class TokenLine:
    """A line of the file. digest: SHA-256 of the token."""

    name: str
    digest: bytes
    limits: QuotaLimits


def new_token() -> str:
    """Return a new token: 43 characters, from 256 random bits."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def check_name(name: str) -> str:
    """Return the name of a tenant. Raise SettingsError if it is not one."""
    if not NAME.fullmatch(name):
        raise SettingsError("name", f"is {name!r}, must be 1 to 64 letters, digits, dots, hyphens and underscores")
    return name


def line_of(name: str, token: str) -> str:
    """Return the line of a token, without limits."""
    return f"{check_name(name)} sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def read_lines(path: str) -> list[TokenLine]:
    """Read the file of tokens.

    Raise SettingsError with the number of an invalid line, never with its content, which may be a token.
    """
    found: list[TokenLine] = []
    try:
        lines = credentials.read_file("token_file", path).decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise SettingsError("token_file", f"{path}: has characters that are not ASCII") from None
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if words:
            try:
                found.append(_parsed(words))
            except ValueError as error:
                raise SettingsError("token_file", f"{path}: line {number} {error}") from None
    if not 1 <= len(found) <= TOKENS_MAX:
        raise SettingsError("token_file", f"{path}: has {len(found)} tokens, must have 1 to {TOKENS_MAX}")
    _check_consistent(path, found)
    return found


def _check_consistent(path: str, lines: Iterable[TokenLine]) -> None:
    by_name: dict[str, QuotaLimits] = {}
    by_digest: dict[bytes, str] = {}
    for line in lines:
        if by_name.setdefault(line.name, line.limits) != line.limits:
            raise SettingsError("token_file", f"{path}: the lines of {line.name} have different limits")
        if by_digest.setdefault(line.digest, line.name) != line.name:
            problem = f"{path}: {by_digest[line.digest]} and {line.name} have the same token"
            raise SettingsError("token_file", problem)


def _parsed(words: list[str]) -> TokenLine:
    name, *others = words
    found = HASH.fullmatch(others[0]) if others else None
    if not NAME.fullmatch(name) or found is None:
        raise ValueError(
            "is not NAME sha256:HASH, which `compressor token NAME` makes; tokens themselves are not accepted"
        )
    return TokenLine(name, bytes.fromhex(found[1]), _limits(others[1:]))


def _limits(words: list[str]) -> QuotaLimits:
    """Parse `calls=10/s bytes=50MB/s memory=64MiB`, each at most once."""
    parsers: dict[str, Callable[[str], float | int]] = {
        "calls": lambda text: _number(_per_second(text), float, CALLS_MIN),
        "bytes": lambda text: _number(_per_second(text), parse_size, BYTES_MIN),
        "memory": lambda text: int(_number(text, parse_size, MEMORY_MIN)),
    }
    values: dict[str, float | int] = {}
    for word in words:
        key, _, text = word.partition("=")
        if key not in parsers or key in values:
            raise ValueError("has more than calls=N/s, bytes=SIZE/s and memory=SIZE, each at most once, after the hash")
        try:
            values[key] = parsers[key](text)
        except (ValueError, OverflowError):
            example = {"calls": "10/s, from 0.001/s", "bytes": "50MB/s, from 16KiB/s", "memory": "64MiB, from 1MiB"}[
                key
            ]
            raise ValueError(f"has an invalid value of {key}, must be such as {key}={example}") from None
    return QuotaLimits(**values)  # type: ignore[arg-type]


def _per_second(text: str) -> str:
    if not text.endswith("/s"):
        raise ValueError("no rate")
    return text.removesuffix("/s")


def _number(text: str, parse: Callable[[str], float], low: float) -> float:
    value = parse(text)
    if not low <= value <= NUMBER_MAX:
        raise ValueError("out of range")
    return value


class Tenants:
    """The tenants of a service, by the hashes of their tokens.

    path  the file
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._tokens: tuple[tuple[bytes, Tenant], ...] = ()
        self._by_name: dict[str, Tenant] = {}

    def load(self) -> None:
        """Read the file. Raise SettingsError, and keep what was known, if it can't be used."""
        lines = read_lines(self.path)
        known = {line.name: self._by_name.get(line.name) or Tenant(line.name, line.limits) for line in lines}
        for line in lines:
            if known[line.name].quota.limits != line.limits:
                known[line.name].quota.change(line.limits)
        self._by_name = known
        self._tokens = tuple((line.digest, known[line.name]) for line in lines)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all tenants."""
        return tuple(self._by_name)

    def identify(self, authorization: Iterable[str | bytes]) -> Tenant | None:
        """Return the tenant whose token is in one of the `authorization` fields of a call.

        None without a known token, with tokens of different tenants, and with more than AUTHORIZATIONS_MAX fields. The
        time that it takes depends on how many tokens are known, not on their content.
        """
        values = list(authorization)
        if len(values) > AUTHORIZATIONS_MAX:  # each is compared with all tokens: 600 of them would take 0.2 s
            return None
        found = set[Tenant]()
        for value in values:
            field = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
            bearer = BEARER.fullmatch(field.strip())
            if bearer is None:
                continue
            digest = hashlib.sha256(bearer[1]).digest()
            # All of them: a comparison that stops early would tell where it stopped.
            found |= {tenant for known, tenant in self._tokens if hmac.compare_digest(digest, known)}
        return found.pop() if len(found) == 1 else None
