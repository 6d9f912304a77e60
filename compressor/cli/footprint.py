"""`compressor footprint`: what saved bytes are worth, step by step."""

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compressor.cli.errors import one_line_errors
from compressor.cli.options import Json, UsageError, option, size

if TYPE_CHECKING:
    from compressor.cli.footprint_output import WhatIf

DAY_SECONDS = 86400.0
NUMBER_MAX = 1e24  # the bytes of the world fit, and no product overflows


def number(value: str | float) -> float:
    """A number such as 60 or 1e9, of a size that occurs."""
    try:
        result = float(value)
    except ValueError:
        result = math.nan
    if not abs(result) <= NUMBER_MAX:
        raise typer.BadParameter(f"{value!r} is not a number such as 60 or 1e9")
    return result


def not_negative(value: str | float) -> float:
    """The same, 0 or more."""
    result = number(value)
    if result < 0:
        raise typer.BadParameter(f"{value!r} is negative")
    return result


def amount(value: str | float) -> float:
    """Bytes from 1e9, 1GB or 512MiB; negative where it got more."""
    try:
        return number(value)
    except typer.BadParameter:
        text = str(value).strip()
        return -float(size(text[1:])) if text.startswith("-") else float(size(text))


def amount_not_negative(value: str | float) -> float:
    """The same, 0 or more."""
    return not_negative(amount(value))


SavedBytes = Annotated[
    float,
    option("saved_bytes", "Originals − results: 1e9, 1GB; negative: larger.", parser=amount, metavar="SIZE"),
]
CpuSeconds = Annotated[
    float, option("cpu_seconds", "CPU time that saving them took.", parser=not_negative, metavar="SECONDS")
]
MemoryBytes = Annotated[
    float, option("memory_bytes", "Memory held meanwhile.", parser=amount_not_negative, metavar="SIZE")
]
MemorySeconds = Annotated[
    float | None,
    option(
        "memory_seconds",
        "For how long it was held. Otherwise --cpu-seconds, or what was reserved.",
        parser=not_negative,
        metavar="SECONDS",
        show_default=False,
    ),
]
ReservedVcpus = Annotated[
    float | None,
    option("reserved_vcpus", "vCPU held for this alone, idle or not.", parser=not_negative, metavar="N"),
]
ReservedSeconds = Annotated[
    float | None, option("reserved_seconds", "For how long.", parser=not_negative, metavar="SECONDS")
]
Storage = Annotated[
    str | None,
    option("storage", "Where originals were kept: hdd-3az, hdd-1az, ssd-3az or ssd-1az.", metavar="CLASS"),
]
RetentionDays = Annotated[
    float | None, option("retention_days", "For how long results stay.", parser=not_negative, metavar="DAYS")
]
AddedBytes = Annotated[
    float | None,
    option(
        "added_bytes",
        "Originals stay, and so many bytes are stored beside them: a cost.",
        parser=amount_not_negative,
        metavar="SIZE",
    ),
]
Network = Annotated[str | None, option("network", "What downloads come over: fixed or mobile.", metavar="ACCESS")]
Downloads = Annotated[
    float | None, option("downloads", "Of each result, as counted.", parser=not_negative, metavar="N")
]
Region = Annotated[str | None, option("region", "Of a cloud or a grid, such as us-east-1 or de.", metavar="NAME")]
Grid = Annotated[
    float | None,
    option("grid", "Intensity in g/kWh; wins over the region's.", parser=not_negative, metavar="GRAMS"),
]
Profile = Annotated[
    str, option("profile", "Whose numbers: conservative, central, ccf, swdm4 or off.", metavar="PROFILE")
]


def footprint(
    saved_bytes: SavedBytes,
    cpu_seconds: CpuSeconds,
    memory_bytes: MemoryBytes,
    memory_seconds: MemorySeconds = None,
    reserved_vcpus: ReservedVcpus = None,
    reserved_seconds: ReservedSeconds = None,
    storage: Storage = None,
    retention_days: RetentionDays = None,
    added_bytes: AddedBytes = None,
    network: Network = None,
    downloads: Downloads = None,
    region: Region = None,
    grid: Grid = None,
    profile: Profile = "conservative",
    json: Json = False,
) -> None:
    """Estimate the energy and CO2e that saved bytes avoid, less what saving them took.

    Every step is shown. Without --region or --grid there are joules and no grams. What comes out is an estimate with
    a range, which may be negative; it is no offset.
    """
    options = dict(locals())
    with one_line_errors():
        from compressor.cli import footprint_output as output

        case = what_if(options)
        if json:
            typer.echo(output.as_json(case))
            return
        from rich.console import Console

        output.show(Console(highlight=False), case)


def what_if(options: dict[str, Any]) -> "WhatIf":
    """The case that the options mean. Raises UsageError or SettingsError where they mean none."""
    from compressor.cli.footprint_output import WhatIf
    from compressor.footprint import Drivers, Place, Profile, place, stored_byte_seconds

    together(options, "reserved_vcpus", "reserved_seconds")
    if options["storage"] is not None and options["retention_days"] is None:
        raise UsageError("--storage needs --retention-days: how long results stay")
    if options["network"] is not None and options["downloads"] is None:
        raise UsageError("--network needs --downloads: how often results are sent")
    if options["added_bytes"] is not None and options["storage"] is None:
        raise UsageError("--added-bytes needs --storage: where they are kept")
    if options["profile"] not in list(Profile):
        raise UsageError(f"--profile is {options['profile']!r}, must be one of {', '.join(Profile)}")
    profile, saved = Profile(options["profile"]), options["saved_bytes"]
    reserved = None
    if options["reserved_vcpus"] is not None:
        reserved = options["reserved_vcpus"] * options["reserved_seconds"]
    held_seconds = next(
        value
        for value in (options["memory_seconds"], options["reserved_seconds"], options["cpu_seconds"])
        if value is not None
    )
    stored = None
    if options["storage"] is not None:
        seconds, added = options["retention_days"] * DAY_SECONDS, options["added_bytes"]
        replaced = added is None
        stored = stored_byte_seconds(saved, seconds, originals_deleted=replaced, added_bytes=added or 0.0)
    drivers = Drivers(
        cpu_seconds=options["cpu_seconds"],
        memory_byte_seconds=options["memory_bytes"] * held_seconds,
        reserved_vcpu_seconds=reserved,
        stored_byte_seconds=stored,
        storage_class=options["storage"] or "hdd-3az",
        unsent_bytes=None if options["network"] is None else saved * options["downloads"],
        access=options["network"] or "fixed",
    )
    where: Place = place(options["region"], options["grid"], profile)
    return WhatIf(inputs={**options, "held_seconds": held_seconds}, drivers=drivers, place=where, profile=profile)


def together(options: dict[str, Any], one: str, other: str) -> None:
    if (options[one] is None) != (options[other] is None):
        names = " and ".join(f"--{name.replace('_', '-')}" for name in (one, other))
        raise UsageError(f"{names} go together")
