"""What benchmarks share: photographs, peers, scores, records and servers."""
