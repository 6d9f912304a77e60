"""`compressor footprint`: the energy and CO2e that saved bytes avoid, step by step."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from compressor.cli.basis import BasisStorage, Grid, Network, ProfileOption, RegionOption, ReservedVcpus
from compressor.cli.errors import one_line_errors
from compressor.cli.options import Json, UsageError, not_negative, number, option, size

if TYPE_CHECKING:
    from compressor.cli.footprint_output import WhatIf

DAY_SECONDS = 86400.0


def amount(value: str | float) -> float:
    """Parse a number of bytes: 1e9, 1GB, 512MiB or, negative, -1GB."""
    try:
        return number(value)
    except typer.BadParameter:
        text = str(value).strip()
        return -float(size(text[1:])) if text.startswith("-") else float(size(text))


def amount_not_negative(value: str | float) -> float:
    """Parse a number of bytes, 0 or more."""
    return not_negative(amount(value))


SavedBytes = Annotated[
    float,
    option(
        "saved_bytes",
        "Bytes of the originals minus bytes of the results, such as 1e9 or 1GB; negative if the results are larger.",
        parser=amount,
        metavar="SIZE",
    ),
]
CpuSeconds = Annotated[
    float, option("cpu_seconds", "CPU time of the compression.", parser=not_negative, metavar="SECONDS")
]
MemoryBytes = Annotated[
    float, option("memory_bytes", "Memory held during the compression.", parser=amount_not_negative, metavar="SIZE")
]
MemorySeconds = Annotated[
    float | None,
    option(
        "memory_seconds",
        "How long it was held. Default: --reserved-seconds, else --cpu-seconds.",
        parser=not_negative,
        metavar="SECONDS",
        show_default=False,
    ),
]
ReservedSeconds = Annotated[
    float | None, option("reserved_seconds", "How long they were reserved.", parser=not_negative, metavar="SECONDS")
]
RetentionDays = Annotated[
    float | None, option("retention_days", "How long results are stored.", parser=not_negative, metavar="DAYS")
]
AddedBytes = Annotated[
    float | None,
    option(
        "added_bytes",
        "Bytes of results stored in addition to the originals, if these are kept. They count as a cost.",
        parser=amount_not_negative,
        metavar="SIZE",
    ),
]
Downloads = Annotated[
    float | None, option("downloads", "Number of downloads of each result.", parser=not_negative, metavar="N")
]


def footprint(
    saved_bytes: SavedBytes,
    cpu_seconds: CpuSeconds,
    memory_bytes: MemoryBytes,
    memory_seconds: MemorySeconds = None,
    reserved_vcpus: ReservedVcpus = None,
    reserved_seconds: ReservedSeconds = None,
    storage: BasisStorage = None,
    retention_days: RetentionDays = None,
    added_bytes: AddedBytes = None,
    network: Network = None,
    downloads: Downloads = None,
    region: RegionOption = None,
    grid: Grid = None,
    profile: ProfileOption = "conservative",
    json: Json = False,
) -> None:
    """Estimate the energy and CO2e that saved bytes avoid.

    What saving them took is subtracted. Every step is shown. Without --region or --grid there are joules but no grams.
    The result is an estimate with a range, which may be negative. It is not an offset.
    """
    options = dict(locals())
    with one_line_errors():
        from compressor.cli import footprint_output as output

        case = what_if(options)
        if json:
            typer.echo(output.case_as_json(case))
            return
        from rich.console import Console

        output.show(Console(highlight=False), case)


def what_if(options: dict[str, Any]) -> "WhatIf":
    """Return the case that the options describe. Raises UsageError or SettingsError if they contradict each other."""
    from compressor.cli.footprint_output import WhatIf
    from compressor.footprint import Drivers, Place, Profile, place, stored_byte_seconds

    together(options, "reserved_vcpus", "reserved_seconds")
    if options["storage"] is not None and options["retention_days"] is None:
        raise UsageError("--storage needs --retention-days: how long results are stored")
    if options["network"] is not None and options["downloads"] is None:
        raise UsageError("--network needs --downloads: how often results are downloaded")
    if options["added_bytes"] is not None and options["storage"] is None:
        raise UsageError("--added-bytes needs --storage: where they are stored")
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
