"""A worker with the fake pipeline, whose sources are described by the number of the process."""

import os

from compressor.service.worker import main
from tests.service.fake_pipeline import fake_codec

main(lambda resources: fake_codec(resources, str(os.getpid())))
