"""The examples of docs/http.md, each run as it is printed but for the port."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests import ROOT
from tests.service.conftest import Service, png

PAGE = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
PORT = "127.0.0.1:8080"


def examples() -> list[tuple[str, str]]:
    """Return the commands and what they print."""
    found = []
    for block in BLOCKS:
        for example in block.split("$ ")[1:]:
            command, _, printed = example.partition("\n")
            found.append((command, printed))
    return found


CURL = [(command, printed) for command, printed in examples() if "curl" in command]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("examples")
    Image.open(io.BytesIO(png(640, 480))).save(path / "photo.jpg", quality=95, subsampling="4:2:0")
    (path / "token").write_text("secret\n")
    return path


@pytest.mark.parametrize("command, printed", CURL, ids=[command for command, _ in CURL])
def test_an_example_does_what_the_page_says(folder: Path, real_http: Service, command: str, printed: str) -> None:
    address = f"127.0.0.1:{real_http.server.http_port}"
    script = command.replace(PORT, address)
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=60)
    output = re.search(r"(?:-o|>) (\S+)$", command)

    assert done.returncode == 0, done.stderr
    pattern = ".*".join(map(re.escape, printed.strip().split("…")))
    assert re.fullmatch(pattern, done.stdout.strip()), done.stdout
    if output is not None:
        result = folder / output[1]
        with Image.open(result) as image:
            assert image.size == (640, 480)
            assert image.format == {".jpg": "JPEG", ".webp": "WEBP"}[result.suffix]
        assert result.stat().st_size < (folder / "photo.jpg").stat().st_size
        result.unlink()


def test_the_page_has_examples_of_all_requests() -> None:
    commands = "\n".join(command for command, _ in CURL)

    assert len(CURL) >= 10
    for path in ("/v1/compress", "/v1/inspect", "report=json", "delivery=immediate", "Accept:", "Authorization:"):
        assert path in commands


def test_the_first_example_is_what_the_command_prints(tmp_path: Path) -> None:
    command, printed = examples()[0]
    words = command.replace("8080", "0").replace("compressor serve", "").split()
    options = ["--address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"]
    arguments = [sys.executable, "-m", "compressor.cli", "serve", *words, *options]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
    finally:
        process.terminate()
        process.stdout.close()
        assert process.wait(30) == 0
    assert re.fullmatch(re.sub(r":\d+\b", r":\\d+", printed.strip()), line.strip()), line
