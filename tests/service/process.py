"""A server in a process of its own: process.py fake|pipeline CONFIG. Prints its ports once it is ready."""

import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from fake_pipeline import fake_codec  # noqa: E402

from compressor.service.server import Server, ServerConfig, serve  # noqa: E402


def ready(server: Server) -> None:
    print(json.dumps({"port": server.port, "metrics_port": server.metrics_port}), flush=True)


serve(ServerConfig(**json.loads(sys.argv[2])), ready, fake_codec() if sys.argv[1] == "fake" else None)
