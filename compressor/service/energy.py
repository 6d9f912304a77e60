"""The energy of a service: what the processor counts, and what is estimated."""

from compressor.footprint import AccruedUsage, Basis, Rapl, load
from compressor.metrics import Estimates
from compressor.metrics.registry import ServiceRegistry


def export_energy(metrics: ServiceRegistry, basis: Basis, accrued: AccruedUsage) -> None:
    """Export the processor's counters, if they can be read, and the estimates, unless they are off."""
    if rapl := Rapl():
        metrics.watch_energy(rapl.joules)
    if not basis.is_off:
        estimates = Estimates(load().version, accrued.amounts, basis.gauges(), basis.info())
        metrics.estimate(estimates, basis.reserved_vcpus)
