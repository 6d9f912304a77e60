"""The options that estimates of energy and carbon are based on: of `serve`, `exporter` and `batch`."""

from typing import TYPE_CHECKING, Annotated, Any

from compressor.cli.options import UsageError, not_negative, option

if TYPE_CHECKING:
    from compressor.footprint import Basis

BasisProfile = Annotated[
    str | None,
    option(
        "profile",
        "Coefficients to use: conservative, central, ccf, swdm4 or off.",
        metavar="PROFILE",
        show_default="conservative with --originals-deleted, otherwise off",
    ),
]
ProfileOption = Annotated[
    str, option("profile", "Coefficients to use: conservative, central, ccf, swdm4 or off.", metavar="PROFILE")
]
BasisStorage = Annotated[
    str | None,
    option("storage", "Storage class of the originals: hdd-3az, hdd-1az, ssd-3az or ssd-1az.", metavar="CLASS"),
]
OriginalsDeleted = Annotated[
    bool,
    option(
        "originals_deleted", "Originals are deleted once results are stored, with their versions, replicas and backups."
    ),
]
RegionOption = Annotated[str | None, option("region", "Cloud region or grid, such as us-east-1 or de.", metavar="NAME")]
Grid = Annotated[
    float | None,
    option("grid", "Carbon intensity in g/kWh; overrides the region's.", parser=not_negative, metavar="GRAMS"),
]
Network = Annotated[str | None, option("network", "Access network of downloads: fixed or mobile.", metavar="ACCESS")]
ReservedVcpus = Annotated[
    float | None,
    option("reserved_vcpus", "vCPUs reserved for this work, idle or not.", parser=not_negative, metavar="N"),
]
BASIS = ("profile", "storage", "originals_deleted", "region", "grid", "reserved_vcpus")


def basis_of(options: dict[str, Any]) -> "Basis":
    """Return the basis that the options make; those that are missing are not set. Raises UsageError, SettingsError."""
    from compressor.footprint import Basis, Profile

    profile = options.get("profile")
    if profile is not None and profile not in list(Profile):
        raise UsageError(f"--profile is {profile!r}, must be one of {', '.join(Profile)}")
    return Basis(
        profile=None if profile is None else Profile(profile),
        storage_class=options.get("storage"),
        originals_deleted=options.get("originals_deleted", False),
        network=options.get("network"),
        region=options.get("region"),
        grid_grams_per_kwh=options.get("grid"),
        reserved_vcpus=options.get("reserved_vcpus"),
    )
