"""A server process: `python -m tests.service.process fake|pipeline CONFIG`. Prints its ports once it is ready."""

import json
import sys

from compressor.service.server import Server, ServerConfig, serve
from tests.service.fake_pipeline import fake_codec


def ready(server: Server) -> None:
    print(json.dumps({"port": server.port, "metrics_port": server.metrics_port}), flush=True)


serve(ServerConfig(**json.loads(sys.argv[2])), ready, fake_codec() if sys.argv[1] == "fake" else None)
