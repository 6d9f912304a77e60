"""Benchmarks and the demo: `python -m benchmarks NAME`. METHODOLOGY.md describes how, and what is unfair in it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # of the repository
