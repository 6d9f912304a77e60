"""Benchmarks and the demo: `python -m benchmarks NAME`. METHODOLOGY.md says how things are measured, and what is unfair."""
