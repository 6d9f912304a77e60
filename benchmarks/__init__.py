"""Benchmarks and the demo: `python -m benchmarks NAME`. METHODOLOGY.md describes the methods and their biases."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # of the repository
