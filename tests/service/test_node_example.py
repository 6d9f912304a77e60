"""The client in another language, built from the proto file: examples/node, run as a process."""

import io
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

from tests import ROOT
from tests.service.conftest import Service, png

NODE = ROOT / "examples" / "node"


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    assert (NODE / "node_modules").is_dir(), "run make node first"
    command = ["node", str(NODE / "compress.js"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def jpeg() -> bytes:
    sink = io.BytesIO()
    Image.open(io.BytesIO(png(640, 480))).save(sink, "JPEG", quality=95)
    return sink.getvalue()


def test_a_photograph_comes_back_smaller(real: Service, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    source.write_bytes(jpeg())

    done = run(source, target, "--address", real.address, "--quality", 75, "--effort", "fast")

    assert done.returncode == 0, done.stderr
    assert f"-> {target.stat().st_size} bytes" in done.stdout
    assert target.stat().st_size < 0.7 * source.stat().st_size
    difference = np.asarray(Image.open(source)).astype(int) - np.asarray(Image.open(target))
    assert np.sqrt(np.mean(difference**2)) < 12


def test_a_broken_image_is_one_line_and_leaves_no_file(real: Service, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    source.write_bytes(jpeg()[:2000])

    done = run(source, target, "--address", real.address)

    assert done.returncode == 1
    assert done.stderr.startswith("compress.js: JPEG: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [source]


def test_a_missing_source_is_reported_at_once(real: Service, tmp_path: Path) -> None:
    done = run(tmp_path / "nothing.jpg", tmp_path / "out.jpg", "--address", real.address)

    assert done.returncode == 1
    assert "ENOENT" in done.stderr
