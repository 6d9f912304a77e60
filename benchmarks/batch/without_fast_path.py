"""`compressor batch` with `compressor/stores/s3_fast_path.py` disabled, so that boto3 sends every S3 request.

    python -m benchmarks.batch.without_fast_path batch SRC DST …

Spawned worker processes import the main module again, which applies the patch in them, too.
"""

from unittest.mock import patch

from compressor.cli.start import main
from compressor.stores.s3_fast_path import FastPath

patch.object(FastPath, "discover", lambda *_: False).start()

if __name__ == "__main__":
    main()
