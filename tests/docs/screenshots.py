"""Make the screenshots of the documentation from a real run, in some ten minutes: `python -m tests.docs.screenshots`.

It needs Chromium, Prometheus and the pictures of the corpus. The files in docs/ are committed.
"""

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

import compressor
from tests import ROOT
from tests.docs import dashboard, pictures
from tests.service.conftest import Service
from tests.service.http.browser import Browser

DOCS = ROOT / "docs"
COLUMNS = 100
BYTES_MAX = 150_000
DASHBOARD_WIDTH = 1280
COMMANDS = (
    "compressor compress -r album --output-dir out",
    "compressor batch photos small --ledger photos.ledger --report report.html",
)
PAGE = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; padding: 20px 24px; background: #0c0c0c; display: inline-block }
pre { margin: 0; font: 14px/1.4 "DejaVu Sans Mono", monospace; color: #d9d9d9 }
</style>CODE"""


def in_terminal(command: str, folder: Path) -> str:
    """Run a command as in a terminal; return what that would get, escape sequences included."""
    main, other = pty.openpty()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": "60"}
    process = subprocess.Popen(
        ["bash", "-c", command], cwd=folder, env=environment, stdin=other, stdout=other, stderr=other, close_fds=True
    )
    os.close(other)
    output = b""
    while True:
        try:
            data = os.read(main, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        output += data
    process.wait()
    os.close(main)
    return output.decode()


def last_screen(output: str) -> str:
    """Return an output without the progress that was drawn over: what follows the last erased line."""
    return re.sub(r"^(?:\r|\x1b\[\?25[hl])+", "", output.replace("\r\n", "\n").split("\x1b[2K")[-1])


def as_html(commands: tuple[str, ...], folder: Path) -> str:
    """Return commands and their outputs as a page that looks like a terminal."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for command in commands:
        console.print(Text(f"$ {command}", style="bold"))
        console.print(Text.from_ansi(last_screen(in_terminal(command, folder))), soft_wrap=True)
    code = console.export_html(theme=MONOKAI, inline_styles=True, code_format="<pre>{code}</pre>")
    return PAGE.replace("CODE", code)


def shoot(browser: Browser, name: str, width: int, height: int) -> None:
    """Save the first columns and rows of what a page shows as docs/NAME."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / name
        browser.screenshot(whole)
        with Image.open(whole) as image:
            save(image.crop((0, 0, min(width, image.width), min(height, image.height))), name)


def save(image: Image.Image, name: str) -> None:
    """Write docs/NAME in few colors."""
    data = compressor.compress(image, format="png", png_colors=256, target_score=60, effort="best").data
    assert len(data) <= BYTES_MAX, f"{name} has {len(data)} bytes"
    (DOCS / name).write_bytes(data)
    print(f"docs/{name}: {len(data)} bytes")


def command_and_report(browser: Browser) -> None:
    """Shoot the command, and the report page of its batch run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures.write(folder / "album", pictures.album())
        pictures.write(folder / "photos", pictures.photos())
        page = folder / "terminal.html"
        page.write_text(as_html(COMMANDS, folder), encoding="utf-8")
        browser.size(1000, 400)
        browser.open(page.as_uri())
        box = browser.value("document.querySelector('body').getBoundingClientRect().toJSON()")
        shoot(browser, "command.png", int(box["width"]), int(box["height"]))
        browser.size(1100, 1400)
        browser.open((folder / "report.html").as_uri())
        shoot(browser, "report.png", 1100, 770)


def http_page(browser: Browser) -> None:
    """Shoot the page of the HTTP door, with a photograph that was just compressed."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Service("pipeline", {"http_address": "127.0.0.1:0", "http_page": True}) as running,
    ):
        photo = Path(folder) / "photo.jpg"
        photo.write_bytes(pictures.photo())
        browser.size(900, 800)
        browser.open(f"http://127.0.0.1:{running.server.http_port}/")
        browser.choose_file("#file", photo)
        browser.wait(
            "!document.getElementById('result').hidden && document.getElementById('status').textContent === ''"
        )
        shoot(browser, "page.png", 900, 710)


def the_dashboard() -> None:
    """Draw the dashboard some minutes after a batch run, as without Grafana, at the width of a page."""
    with tempfile.TemporaryDirectory() as folder, Image.open(dashboard.draw(Path(folder))) as sheet:
        height = round(sheet.height * DASHBOARD_WIDTH / sheet.width)
        save(sheet.convert("RGB").resize((DASHBOARD_WIDTH, height), Image.Resampling.LANCZOS), "dashboard.png")


if __name__ == "__main__":
    with Browser() as browser:
        command_and_report(browser)
        http_page(browser)
    the_dashboard()
