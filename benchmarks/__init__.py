"""Benchmarks and the demo: `python -m benchmarks NAME`. METHODOLOGY.md says how, and what is unfair."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # of the repository
