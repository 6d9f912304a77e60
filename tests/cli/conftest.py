"""Fixtures of the command line's tests."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import compressor
from tests.cli.fakes import FakePipeline


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakePipeline:
    """Replace the pipeline by a fake, in an empty working directory."""
    pipeline = FakePipeline()
    monkeypatch.setitem(sys.modules, "compressor.pipeline", pipeline)
    monkeypatch.setattr(compressor, "pipeline", pipeline, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(bytes(1000))
    for name in [name for name in os.environ if name.startswith("COMPRESSOR_")]:
        monkeypatch.delenv(name)
    return pipeline


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a JPEG of quality 95 to an empty working directory."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(1).normal(128, 40, (12, 16, 3)).clip(0, 255).astype(np.uint8)
    Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC).save("photo.jpg", quality=95)
    return tmp_path / "photo.jpg"
