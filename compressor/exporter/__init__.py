"""Accrues the savings of batch runs, which have ended, for as long as their results are stored."""
