"""A server in a process of its own, and callers in others: CPU time outside the codec, calls per second, latency."""
