"""Target scores: how often and how closely they are reached, and the bytes compared with a fixed quality."""
