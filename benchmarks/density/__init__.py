"""Bytes at equal SSIMULACRA2 and butteraugli."""
