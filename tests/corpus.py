"""Where images from outside the project are, if they are: tests must pass without them."""

import os
from pathlib import Path

CORPUS = Path(os.environ.get("COMPRESSOR_CORPUS", Path(__file__).resolve().parents[2] / "shared" / "corpus"))
