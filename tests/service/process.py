"""A server process: `python -m tests.service.process fake|pipeline CONFIG`. Prints its ports once it is ready."""

import json
import sys

from compressor.service.config import Listening, ServerConfig
from compressor.service.serve import serve
from tests.service.fake_pipeline import fake_codec


def ready(server: Listening) -> None:
    print(json.dumps({"port": server.port, "metrics_port": server.metrics_port}), flush=True)


serve(ServerConfig(**json.loads(sys.argv[2])), ready, fake_codec() if sys.argv[1] == "fake" else None)
