"""S3 servers for tests, with a client to use a bucket without the store under test."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto.moto_server import threaded_moto_server as moto
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.server import ThreadedMotoServer

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testak", "AWS_SECRET_ACCESS_KEY": "testsk", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass
class Server:
    """A running server, which boto3's environment variables name; `client` has boto3's default settings.

    writes  method and path of every request other than GET and HEAD, if the server records them
    """

    address: str
    client: Any
    writes: list[str] = field(default_factory=list)

    def bucket(self, **settings: Any) -> str:
        name = f"b-{uuid4().hex}"
        self.client.create_bucket(Bucket=name, **settings)
        return name

    def leftovers(self, bucket: str) -> list[str]:
        """Return the keys of objects being written and of unfinished uploads."""
        objects = self.client.list_objects_v2(Bucket=bucket).get("Contents", [])
        uploads = self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return [item["Key"] for item in [*objects, *uploads] if ".compressor-" in item["Key"] or "UploadId" in item]


@contextmanager
def server_at(address: str) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": address}.items():
            environment.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "http_proxy", "HTTP_PROXY"):
            environment.delenv(name, raising=False)
        environment.setenv("AWS_CONFIG_FILE", "/nonexistent")
        client = boto3.session.Session().client("s3")
        yield Server(address, client)
        client.close()


class Dispatcher(DomainDispatcherApplication):
    """moto's dispatcher with a record of requests that may write.

    supports_conditions  if not, the conditions of a PutObject are ignored
    """

    writes: list[str]
    supports_conditions = True

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            self.writes.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        if not self.supports_conditions:
            for name in ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"):
                environ.pop(name, None)
        return super().__call__(environ, start_response)


@contextmanager
def moto_server(supports_conditions: bool = True) -> Iterator[Server]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request otherwise
    writes: list[str] = []
    made = type("Recording", (Dispatcher,), {"writes": writes, "supports_conditions": supports_conditions})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moto, "DomainDispatcherApplication", made)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
    host, port = server.get_host_and_port()
    try:
        with server_at(f"http://{host}:{port}") as running:
            running.writes = writes
            yield running
    finally:
        server.stop()
