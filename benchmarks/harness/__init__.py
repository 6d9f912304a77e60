"""Parts that benchmarks share: photographs, peers, scores, records and servers."""
