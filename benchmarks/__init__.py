"""Benchmarks and the demo: `python -m benchmarks NAME`. METHODOLOGY.md says how, and what is unfair."""
