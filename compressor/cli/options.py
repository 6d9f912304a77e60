"""What the command line takes: sizes, shares and colours as people write them, and the configuration file."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from compressor.errors import CompressorError, SettingsError
from compressor.settings import Access, ContentCredentials, Delivery, Effort, Format, Metadata, Subsampling

PREFIX = "COMPRESSOR_"
UNITS = {"": 1, "b": 1}
UNITS |= {f"{prefix}ib": 1 << 10 * power for power, prefix in enumerate("kmgt", 1)}
UNITS |= {f"{prefix}b": 10 ** (3 * power) for power, prefix in enumerate("kmgt", 1)}


class UsageError(CompressorError):
    """The command can't be meant like that: exit code 2."""


def size(value: str | int) -> int:
    """Bytes from "1048576", "1024KiB", "1.5 MiB" or "2GB" (10**9)."""
    text = str(value).strip()
    unit = text.lstrip("0123456789.").strip().lower()
    number = text[: len(text) - len(text.lstrip("0123456789."))]
    try:
        bytes_ = float(number) * UNITS[unit]
    except (KeyError, ValueError):
        raise typer.BadParameter(f"{text!r} is not a size such as 65536, 512KiB, 256MiB or 2GiB") from None
    if bytes_ != int(bytes_):
        raise typer.BadParameter(f"{text!r} is not a whole number of bytes")
    return int(bytes_)


def share(value: str | float) -> float:
    """A fraction from "0.05" or "5%"."""
    text = str(value).strip()
    try:
        # Divided in decimal by shifting the point, so that 7% is 0.07 and not 0.07000000000000001.
        return float(f"{text[:-1].strip()}e-2") if text.endswith("%") else float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a share such as 0.05 or 5%") from None


def color(text: str | None) -> tuple[int, int, int] | None:
    """(r, g, b) from "255,255,255"."""
    if text is None:
        return None
    try:
        red, green, blue = (int(part) for part in text.split(","))
    except ValueError:
        raise SettingsError("background", f"is {text!r}, must be red, green and blue such as 255,255,255") from None
    return red, green, blue


def configuration(
    path: Path, options: Mapping[str, set[str]], repeatable: Mapping[str, set[str]]
) -> dict[str, dict[str, Any]]:
    """Defaults for every command from a TOML file of `name = value` lines.

    options     the names that each command takes; a name that no command takes is an error, since it would
                otherwise be ignored silently
    repeatable  those of them that may be given more than once: a list in the file
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    values = {name.replace("-", "_"): value for name, value in values.items()}
    known = set().union(*options.values())
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"{path}: {name} is not an option; there are {', '.join(sorted(known))}")
        if isinstance(value, dict):
            raise UsageError(f"{path}: {name} is a table, must be a value")

    def given(name: str, several: bool) -> Any:
        value = values[name]
        if several:
            return value if isinstance(value, list) else [value]
        return ",".join(map(str, value)) if isinstance(value, list) else value

    return {
        command: {name: given(name, name in repeatable[command]) for name in names & values.keys()}
        for command, names in options.items()
    }


def option(name: str, help: str, **more: Any) -> Any:
    """An option with the name it has everywhere: `--min-saving`, COMPRESSOR_MIN_SAVING, min_saving in the file."""
    flag = f"--{name.replace('_', '-')}"
    return typer.Option(flag, help=help, envvar=f"{PREFIX}{name.upper()}", show_envvar=False, **more)


# --- of `compress` ------------------------------------------------------------------------------------------------

In = Annotated[str, typer.Argument(metavar="IN", help="An image, or - for standard input.", show_default=False)]
Out = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="A file, a folder, or - for standard output. Otherwise NAME.compressed.SUFFIX beside the input.",
        show_default=False,
    ),
]
Quality = Annotated[int, option("quality", "1 to 100: looks as libjpeg-turbo's 4:2:0 does at that quality.")]
TargetScore = Annotated[float | None, option("target_score", "Lowest SSIMULACRA2 allowed, 0 to 100.", metavar="SCORE")]
MaxBytes = Annotated[
    int | None, option("max_bytes", "Largest result allowed, such as 200KiB.", parser=size, metavar="SIZE")
]
Lossless = Annotated[bool, option("lossless", "Keep every coefficient (JPEG) or pixel (PNG).")]
Effort_ = Annotated[Effort, option("effort", "How hard to try; fast needs one pass over the image.")]
Format_ = Annotated[Format, option("format", "Of the result; keep: the source's own.")]
Subsampling_ = Annotated[Subsampling, option("subsampling", "Of the chroma; auto: the source's own, or 4:2:0.")]
Metadata_ = Annotated[
    Metadata, option("metadata", "What to keep of it; color: profile and orientation; strip: the orientation alone.")
]
ContentCredentials_ = Annotated[
    ContentCredentials,
    option("content_credentials", "A file with content credentials (C2PA): drop them, or give it back unchanged."),
]
Background = Annotated[
    str | None, option("background", "Behind transparent pixels in a JPEG, such as 255,255,255.", metavar="R,G,B")
]
MinSaving = Annotated[
    float,
    option(
        "min_saving",
        "Give the input back where less than this share is saved, such as 5%.",
        parser=share,
        metavar="SHARE",
        show_default="0%",
    ),
]
Delivery_ = Annotated[
    Delivery | None,
    option(
        "delivery",
        "safe: nothing leaves before it is known to be smaller and right; immediate: as it is made.",
        show_default="safe",
    ),
]
Server = Annotated[
    str | None, option("server", "Have a running service do it.", metavar="HOST:PORT", show_default=False)
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite OUT where it exists.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report alone, as one line of JSON.")]


# --- of `serve`; names and defaults are those of service.server.ServerConfig, which is slow to import ----------------


def address(text: str) -> str:
    """host:port, checked as far as it can be without asking the network."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise typer.BadParameter(f"{text!r} is not HOST:PORT such as 127.0.0.1:50051 or [::]:50051")
    return text


def address_or_none(text: str | None) -> str | None:
    """host:port, or None from "none"."""
    return None if text is None or text.lower() == "none" else address(text)


Address = Annotated[
    str, option("address", "Of the service; port 0 takes a free one.", parser=address, metavar="HOST:PORT")
]
MetricsAddress = Annotated[
    str | None,
    option("metrics_address", "Of /metrics, /healthz, /readyz; or none.", parser=address_or_none, metavar="HOST:PORT"),
]
MemoryBudget = Annotated[
    int,
    option(
        "memory_budget",
        "What all calls together may reserve.",
        parser=size,
        metavar="SIZE",
        show_default="256MiB",
    ),
]
SpoolDir = Annotated[
    str | None, option("spool_dir", "Folder for what outgrows memory; not a memory-backed one.", metavar="DIR")
]
SpoolBudget = Annotated[
    int | None, option("spool_budget", "Disk space for all calls together.", parser=size, metavar="SIZE")
]
WindowBytes = Annotated[
    int,
    option(
        "window_bytes",
        "HTTP/2 window of a call; a call moves at most one a round trip.",
        parser=size,
        metavar="SIZE",
        show_default="128KiB",
    ),
]
IdleSeconds = Annotated[float, option("idle_seconds", "A call whose client does not move for so long is ended.")]
MaxConcurrentCalls = Annotated[int, option("max_concurrent_calls", "Calls at work at a time.")]
DrainSeconds = Annotated[float, option("drain_seconds", "From not serving to refusing calls, on SIGTERM.")]
GraceSeconds = Annotated[float, option("grace_seconds", "For calls that run then.")]
TlsCert = Annotated[str | None, option("tls_cert", "Certificate chain to show, PEM.", metavar="FILE")]
TlsKey = Annotated[str | None, option("tls_key", "Its private key, PEM.", metavar="FILE")]
TlsClientCa = Annotated[
    str | None, option("tls_client_ca", "Clients must show a certificate of this authority, PEM.", metavar="FILE")
]
TokenFile = Annotated[
    str | None, option("token_file", "Calls need one of its bearer tokens, a line each.", metavar="FILE")
]


# --- of those who connect to a service, together with tls_cert and tls_key ------------------------------------------

TlsCa = Annotated[
    str | None,
    option("tls_ca", "TLS, with a service whose certificate comes from this authority, PEM.", metavar="FILE"),
]
ClientTokenFile = Annotated[str | None, option("token_file", "Its first line is sent as bearer token.", metavar="FILE")]


def access(tls_ca: str | None, tls_cert: str | None, tls_key: str | None, token_file: str | None) -> Access:
    """The files to connect with, by paths that hold in other processes, too."""
    paths = {"tls_ca": tls_ca, "tls_cert": tls_cert, "tls_key": tls_key, "token_file": token_file}
    return Access(**{name: path and os.path.abspath(path) for name, path in paths.items()})
