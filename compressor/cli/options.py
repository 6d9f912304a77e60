"""Options of the command line: sizes, shares and colors as people write them, and the configuration file."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from compressor.errors import CompressorError, SettingsError
from compressor.humanize import parse_size
from compressor.settings import Access, ContentCredentials, Delivery, Effort, Format, Metadata, Subsampling

PREFIX = "COMPRESSOR_"
NUMBER_MAX = 1e24  # more than all bytes in the world, and no product overflows


class UsageError(CompressorError):
    """A command with wrong or contradictory options: exit code 2."""


def size(value: str | int) -> int:
    """Parse a size in bytes: "1048576", "1024KiB", "1.5 MiB" or "2GB" (2 * 10**9)."""
    try:
        return parse_size(str(value))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def share(value: str | float) -> float:
    """Parse a share: "0.05" or "5%"."""
    text = str(value).strip()
    try:
        # Divided by shifting the decimal point, so that 7% is 0.07 and not 0.07000000000000001.
        return float(f"{text[:-1].strip()}e-2") if text.endswith("%") else float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a share such as 0.05 or 5%") from None


def number(value: str | float) -> float:
    """Parse a number such as 60 or 1e9, up to NUMBER_MAX."""
    try:
        result = float(value)
    except ValueError:
        result = math.nan
    if not abs(result) <= NUMBER_MAX:
        raise typer.BadParameter(f"{value!r} is not a number such as 60 or 1e9")
    return result


def not_negative(value: str | float) -> float:
    """Parse a number, 0 or more."""
    result = number(value)
    if result < 0:
        raise typer.BadParameter(f"{value!r} is negative")
    return result


def color(text: str | None) -> tuple[int, int, int] | None:
    """Parse a color: (r, g, b) from "255,255,255"."""
    if text is None:
        return None
    try:
        red, green, blue = (int(part) for part in text.split(","))
    except ValueError:
        raise SettingsError("background", f"is {text!r}, must be red, green and blue such as 255,255,255") from None
    return red, green, blue


def output_format(value: str | Format) -> Format:
    """Parse a format of results: "jpeg", "JPG" or ".jpg"."""
    try:
        return Format(value)
    except ValueError:
        raise typer.BadParameter(f"{str(value)!r} is not one of {', '.join(Format)}") from None


def configuration(
    path: Path, options: Mapping[str, set[str]], repeatable: Mapping[str, set[str]]
) -> dict[str, dict[str, Any]]:
    """Return the defaults of every command from a TOML file of `name = value` lines.

    options     the names that each command takes; a name that no command takes is an error, not ignored
    repeatable  the names that may be given more than once: a list in the file
    """
    import tomllib

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
            raise UsageError(f"{path}: {name} is not an option; the options are {', '.join(sorted(known))}")
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


LOSSY = ("quality", "target_score", "max_bytes")


def is_lossless_in_place(options: Mapping[str, Any]) -> bool:
    """Return whether images are compressed losslessly in place: unless one of LOSSY is given. Raise UsageError for
    --png-colors alone: it would decide about JPEG, too."""
    is_lossy = any(options[name] is not None for name in LOSSY)
    if options["png_colors"] is not None and not is_lossy:
        raise UsageError("--png-colors in place needs --quality, --target-score or --max-bytes for what is no PNG")
    return not is_lossy


def option(name: str, help: str, **more: Any) -> Any:
    """Return an option with one name everywhere: `--min-saving`, COMPRESSOR_MIN_SAVING, min_saving in the file."""
    flag = f"--{name.replace('_', '-')}"
    return typer.Option(flag, help=help, envvar=f"{PREFIX}{name.upper()}", show_envvar=False, **more)


# --- of `compress` ------------------------------------------------------------------------------------------------

In = Annotated[str, typer.Argument(metavar="IN", help="An image, or - for standard input.", show_default=False)]
UnarchiveOut = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="A file, a folder, or - for standard output. Default: NAME.jpg next to the archive NAME.jxl.",
        show_default=False,
    ),
]
Quality = Annotated[
    int | None,
    option(
        "quality",
        "Visual quality, 1 to 100: that of libjpeg-turbo's 4:2:0 at this setting.",
        show_default="80, unless --target-score is given",
    ),
]
TargetScore = Annotated[
    float | None,
    option(
        "target_score",
        "The smallest result with at least this SSIMULACRA2 score, 0 to 100; not with --quality or --lossless.",
        metavar="SCORE",
        show_default=False,
    ),
]
MaxBytes = Annotated[
    int | None,
    option(
        "max_bytes",
        "Maximum size of the result, such as 200KiB; takes precedence over --quality and --target-score.",
        parser=size,
        metavar="SIZE",
        show_default=False,
    ),
]
PngColors = Annotated[
    int | None,
    option(
        "png_colors",
        "Reduce a PNG to at most so many colors, 2 to 256, unless its score would be less than --target-score, or 50; "
        "not with --lossless.",
        metavar="COUNT",
        show_default="PNG is lossless",
    ),
]
Score = Annotated[bool, option("score", "Measure the SSIMULACRA2 score of the result, and report it.")]
Lossless = Annotated[bool, option("lossless", "Keep every coefficient (JPEG) or pixel (PNG).")]
EffortOption = Annotated[Effort, option("effort", "CPU time to spend on compression; fast makes one pass.")]
FormatOption = Annotated[
    Format,
    option(
        "format",
        "Format of the result; keep: that of the input; auto: the one that takes the fewest bytes.",
        parser=output_format,
        metavar=f"<{'|'.join(Format)}>",
        autocompletion=lambda: list(Format),
    ),
]
SubsamplingOption = Annotated[
    Subsampling,
    option(
        "subsampling",
        "Chroma subsampling; auto: that of the input, else 4:2:0, or 4:4:4 if a score needs it.",
    ),
]
MetadataOption = Annotated[
    Metadata, option("metadata", "Metadata to keep; color: color profile and orientation; strip: orientation only.")
]
ContentCredentialsOption = Annotated[
    ContentCredentials,
    option(
        "content_credentials", "For files with content credentials (C2PA): drop them, or return the file unchanged."
    ),
]
Background = Annotated[
    str | None,
    option(
        "background",
        "Background color for transparent pixels when the result is a JPEG, such as 255,255,255.",
        metavar="R,G,B",
    ),
]
Accept = Annotated[
    str | None,
    option(
        "accept",
        "Formats that --format auto may choose, such as jpeg,png,webp; or the value of an HTTP Accept field.",
        metavar="FORMAT,…",
        show_default="jpeg,png,webp,avif",
    ),
]
MinSaving = Annotated[
    float,
    option(
        "min_saving",
        "Return the input unchanged if less than this share would be saved, such as 5%.",
        parser=share,
        metavar="SHARE",
        show_default="0%",
    ),
]
DeliveryOption = Annotated[
    Delivery | None,
    option(
        "delivery",
        "safe: output starts after the result has proved correct and smaller; immediate: while it is encoded.",
        show_default="safe",
    ),
]
Archive = Annotated[
    bool,
    option(
        "archive", "JPEG to JPEG XL, of which unarchive makes the same JPEG again; anything else is returned unchanged."
    ),
]
ServerOption = Annotated[
    str | None,
    option(
        "server",
        "Compress with a running service instead of locally; several addresses share the work.",
        metavar="HOST:PORT[,…]",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite an existing OUT.")]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON instead of text.")]


# --- of `serve`; names and defaults as in service.config.ServerConfig, which is slow to import ----------------------


def size_or_none(value: str | None) -> int | str | None:
    """Parse a size in bytes; None for "none", and "auto" as it is."""
    if value is None or value.lower() == "none":
        return None
    return "auto" if value.lower() == "auto" else size(value)


def address(text: str) -> str:
    """Check the form of HOST:PORT."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise typer.BadParameter(f"{text!r} is not HOST:PORT such as 127.0.0.1:50051 or [::]:50051")
    return text


def address_or_none(text: str | None) -> str | None:
    """Check the form of HOST:PORT; None for "none"."""
    return None if text is None or text.lower() == "none" else address(text)


Address = Annotated[
    str,
    option(
        "address", "Address of the service; with port 0, serve picks a free port.", parser=address, metavar="HOST:PORT"
    ),
]
ServeWorkers = Annotated[int, option("workers", "Processes that serve calls, each on all cores; 1: this one.")]
HttpAddress = Annotated[
    str | None,
    option(
        "http_address",
        "Address of the HTTP front end (the extra http), or none.",
        parser=address_or_none,
        metavar="HOST:PORT",
        show_default="none",
    ),
]
HttpPage = Annotated[bool, option("http_page", "Serve a page for people at that address, too.")]
MetricsAddress = Annotated[
    str | None,
    option(
        "metrics_address",
        "Address of /metrics, /healthz and /readyz, or none.",
        parser=address_or_none,
        metavar="HOST:PORT",
    ),
]
MemoryBudget = Annotated[
    int,
    option(
        "memory_budget",
        "Memory that all calls together may reserve.",
        parser=size,
        metavar="SIZE",
        show_default="256MiB",
    ),
]
SpoolDir = Annotated[
    str | None, option("spool_dir", "Directory for temporary data, on a disk (not tmpfs).", metavar="DIR")
]
SpoolBudgetOption = Annotated[
    str | None,
    option(
        "spool_budget",
        "Disk space that temporary data of all calls together may use, or none.",
        parser=size_or_none,
        metavar="SIZE",
        show_default="auto: half of what is free",
    ),
]
WindowBytes = Annotated[
    int,
    option(
        "window_bytes",
        "HTTP/2 flow-control window of a call: the most it can receive per round trip.",
        parser=size,
        metavar="SIZE",
        show_default="128KiB",
    ),
]
HeaderSeconds = Annotated[
    float, option("header_seconds", "End a call whose image's header has not arrived after waiting this many seconds.")
]
IdleSeconds = Annotated[
    float, option("idle_seconds", "End a call whose client has neither sent nor read for this many seconds.")
]
MinBytesPerSecond = Annotated[
    int,
    option(
        "min_bytes_per_second",
        "Bytes that a client must send, and read, per second on average. It may be --idle-seconds late.",
    ),
]
MaxCallSeconds = Annotated[float, option("max_call_seconds", "End a call that takes longer than this many seconds.")]
QueueSeconds = Annotated[
    float,
    option("queue_seconds", "Refuse a call if those before it are expected to take longer than this many seconds."),
]
MaxConcurrentCalls = Annotated[
    int, option("max_concurrent_calls", "Maximum number of calls that are open at the same time.")
]
MaxCallsPerPeer = Annotated[
    int | None, option("max_calls_per_peer", "Of these, maximum number from one address. [default: no limit]")
]
MaxConnections = Annotated[int, option("max_connections", "Maximum number of connections.")]
DrainSeconds = Annotated[
    float, option("drain_seconds", "After SIGTERM: seconds between reporting NOT_SERVING and rejecting new calls.")
]
GraceSeconds = Annotated[float, option("grace_seconds", "After that: seconds for running calls to finish.")]
TlsCert = Annotated[str | None, option("tls_cert", "PEM file of the certificate chain to present.", metavar="FILE")]
TlsKey = Annotated[str | None, option("tls_key", "PEM file of the certificate's private key.", metavar="FILE")]
TlsClientCa = Annotated[
    str | None,
    option("tls_client_ca", "PEM file of the authority that must have issued client certificates.", metavar="FILE"),
]
TokenFile = Annotated[
    str | None,
    option("token_file", "File of tenants and hashes of their tokens; each call must present one.", metavar="FILE"),
]
ReflectionOption = Annotated[
    Literal["on", "token", "off"] | None,
    option(
        "reflection",
        "Server reflection: for all clients, for those with a token, or off.",
        show_default="token with --token-file, else on",
    ),
]
Formats = Annotated[
    str | None,
    option(
        "formats",
        "Formats of source files that are decoded; others are rejected.",
        metavar="FORMAT,…",
        show_default="all",
    ),
]
LogFormat = Annotated[
    str,
    option(
        "log_format",
        "Format of the log on standard error, a line for each request: text, json or logfmt.",
        metavar="FORMAT",
    ),
]
LogLevel = Annotated[
    str,
    option("log_level", "The least severe messages to log: debug, info, warning or error.", metavar="LEVEL"),
]


def formats_of(text: str | None) -> tuple[str, ...] | None:
    """Parse a list of formats: "jpeg,png"."""
    return None if text is None else tuple(name for name in text.split(",") if name.strip())


# --- of clients of a service, together with tls_cert and tls_key ---------------------------------------------------

TlsCa = Annotated[
    str | None,
    option("tls_ca", "Use TLS; PEM file of the authority that issued the service's certificate.", metavar="FILE"),
]
ClientTokenFile = Annotated[
    str | None, option("token_file", "File whose first line is sent as a bearer token.", metavar="FILE")
]


def access(tls_ca: str | None, tls_cert: str | None, tls_key: str | None, token_file: str | None) -> Access:
    """Return the files to connect with, as absolute paths: other processes use them, too."""
    paths = {"tls_ca": tls_ca, "tls_cert": tls_cert, "tls_key": tls_key, "token_file": token_file}
    return Access(**{name: path and os.path.abspath(path) for name, path in paths.items()})
