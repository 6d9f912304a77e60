"""How the tables and constants of `compressor/jpeg/perceptual.py` were chosen, and can be chosen again."""
