"""The folder of images from outside the project. It may be missing: tests must pass without them."""

import os
from pathlib import Path

from tests import ROOT

CORPUS = Path(os.environ.get("COMPRESSOR_CORPUS", ROOT.parent / "shared" / "corpus"))
