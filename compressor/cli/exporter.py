"""`compressor exporter`: metrics of what batch runs save, for as long as it is saved."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from compressor.cli import options as opt
from compressor.cli.basis import BasisProfile, BasisStorage, Grid, Network, OriginalsDeleted, RegionOption, basis_of
from compressor.cli.errors import one_line_errors
from compressor.cli.options import not_negative, option

LedgerPaths = Annotated[
    list[Path],
    option(
        "ledger",
        "Ledger of a batch run, or a folder with *.ledger files. May be repeated.",
        metavar="FILE",
        show_default=False,
    ),
]
StatePath = Annotated[
    Path, option("state", "File that keeps counters across restarts.", metavar="FILE", show_default=False)
]
FeedPaths = Annotated[
    list[Path] | None,
    option("feed", "File of events about results, as JSON lines. May be repeated.", metavar="FILE", show_default=False),
]
MaxCreditDays = Annotated[
    float,
    option(
        "max_credit_days",
        "Days for which a saving is credited, unless an event confirms that the results still exist.",
        parser=not_negative,
        metavar="DAYS",
    ),
]
ExporterAddress = Annotated[
    str,
    option("metrics_address", "Address of /metrics, /healthz and /readyz.", parser=opt.address, metavar="HOST:PORT"),
]


def exporter(
    ledger: LedgerPaths,
    state: StatePath,
    storage: BasisStorage = None,
    originals_deleted: OriginalsDeleted = False,
    profile: BasisProfile = None,
    region: RegionOption = None,
    grid: Grid = None,
    network: Network = None,
    feed: FeedPaths = None,
    max_credit_days: MaxCreditDays = 365.0,
    metrics_address: ExporterAddress = "127.0.0.1:9465",
) -> None:
    """Export metrics of what batch runs save over time.

    A batch run ends, but its savings continue for as long as the results are stored. They are counted here, across
    restarts, and exposed at /metrics, until SIGTERM or Ctrl-C. They are estimates with a range, not offsets.
    """
    with one_line_errors():
        import logging

        from compressor.exporter.accounting import ExporterConfig
        from compressor.exporter.serve import serve

        of = {"profile": profile, "storage": storage, "originals_deleted": originals_deleted, "network": network}
        basis = basis_of(of | {"region": region, "grid": grid})
        config = ExporterConfig(
            ledgers=tuple(ledger), state=state, basis=basis, feeds=tuple(feed or ()), max_credit_days=max_credit_days
        )
        logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)

        def print_address(port: int) -> None:
            typer.echo(f"metrics on http://{metrics_address.rpartition(':')[0]}:{port}/metrics")
            sys.stdout.flush()

        serve(config, metrics_address, print_address)
