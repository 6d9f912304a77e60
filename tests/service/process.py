"""A server process: `python -m tests.service.process fake|pipeline CONFIG`. Prints its ports once it is ready."""

import json
import sys

from compressor.service.config import Listening, ServerConfig
from compressor.service.serve import serve
from compressor.service.workers import serve_with_workers
from tests.service.fake_pipeline import fake_codec
from tests.service.running import FAKE_WORKER


def ready(server: Listening) -> None:
    ports = {"port": server.port, "http_port": server.http_port, "metrics_port": server.metrics_port}
    print(json.dumps(ports), flush=True)


codec, config = sys.argv[1], ServerConfig(**json.loads(sys.argv[2]))
if codec == "fake" and config.workers > 1:
    serve_with_workers(config, ready, FAKE_WORKER)
else:
    serve(config, ready, fake_codec() if codec == "fake" else None)
