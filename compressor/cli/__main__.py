"""`python -m compressor.cli`."""

from compressor.cli.start import main

main()
