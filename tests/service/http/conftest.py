"""Servers with the HTTP front end: one with the fake pipeline, one with the real one."""

from collections.abc import Iterator

import pytest

from tests.service.conftest import Service
from tests.service.http.raw_peer import RawPeer

HTTP = {"http_address": "127.0.0.1:0", "http_page": True}


@pytest.fixture(scope="session")
def fake_http() -> Iterator[Service]:
    with Service("fake", HTTP) as running:
        yield running


@pytest.fixture(scope="session")
def real_http() -> Iterator[Service]:
    with Service("pipeline", HTTP) as running:
        yield running


@pytest.fixture
def fake_peer(fake_http: Service) -> Iterator[RawPeer]:
    with RawPeer(fake_http.server.http_port) as peer:
        yield peer


@pytest.fixture
def peer(real_http: Service) -> Iterator[RawPeer]:
    with RawPeer(real_http.server.http_port) as peer:
        yield peer
