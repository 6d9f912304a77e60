"""Sizes that files of deploy/ must have, computed from the settings that they give a server."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
import typer

from compressor.cli.app import app
from compressor.service.config import ServerConfig

MIB = 1 << 20
SUFFIXES = {"": 1, "k": 1000, "m": MIB, "Ki": 1 << 10, "Mi": MIB, "Gi": 1 << 30, "M": MIB, "G": 1 << 30}


def server_config(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> ServerConfig:
    """Return the configuration of `compressor serve` with these variables, which all must be its own."""
    root: Any = typer.main.get_command(app)
    command = root.commands["serve"]
    known = {parameter.envvar for parameter in command.params}
    assert set(environment) <= known, set(environment) - known
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    values = command.make_context("serve", []).params
    return ServerConfig(**{name: values[name] for name in ServerConfig.__dataclass_fields__ if name != "footprint"})


def size(text: str) -> int:
    """Return the bytes of `512Mi` (Kubernetes), `512m` (Compose) or `512M` (systemd), all of them powers of 1024."""
    found = re.fullmatch(r"(\d+)(\w*)", text)
    assert found is not None, text
    return int(found[1]) * SUFFIXES[found[2]]


def memory_bytes(config: ServerConfig) -> int:
    """Return the memory that a server may need, by the formula of docs/deployment.md.

    The budget and a tenth of it for the allocator; for each worker 100 MiB and 16 KiB for each connection; and 100 MiB.
    """
    each = 100 * MIB + config.max_connections * (16 << 10)
    return config.memory_budget * 11 // 10 + each * config.workers + 100 * MIB


def assert_sizes(config: ServerConfig, memory_limit: int, stop_seconds: float) -> None:
    """Check that a limit holds the server, without waste, and that it may drain before it is killed."""
    assert memory_bytes(config) <= memory_limit < memory_bytes(config) + 64 * MIB
    assert config.drain_seconds + config.grace_seconds < stop_seconds < config.drain_seconds + config.grace_seconds + 20
