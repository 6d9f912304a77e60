"""`python -m compressor`, the same as the command `compressor`."""

from compressor.cli.start import main

main()
