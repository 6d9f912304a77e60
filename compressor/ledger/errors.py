"""The errors of ledgers."""

from compressor.errors import CompressorError


class LedgerError(CompressorError):
    """A ledger that can't be read, belongs to another run, or is in use."""


class LedgerHeldError(LedgerError):
    """A ledger that a run is writing to: try again later."""
