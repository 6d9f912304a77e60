"""Tests of what only kernels can call, and so only where Numba compiles them."""
