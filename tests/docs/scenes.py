"""Prepare the folder, the buckets and the environment in which the blocks of a page are run."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import ROOT, pem
from tests.docs import pictures
from tests.docs.blocks import Block
from tests.stores.s3_servers import moto_server

BUCKETS = ("photos", "photos-small", "photos-again", "archive", "small", "public")
# Machines that the tests don't have, in whose place the service runs on this one; and a folder of the system.
HOSTS = {
    "/var/lib/node_exporter/": "",
    "images-1": "127.0.0.1",
    "images-2": "127.0.0.1",
    "images.example": "127.0.0.1",
    "HOST": "127.0.0.1",
}


@dataclass(frozen=True)
class Scene:
    """A folder, and the environment of the commands that are run in it."""

    folder: Path
    environment: dict[str, str]


@contextmanager
def scene(page: Path, text: str, folder: Path) -> Iterator[Scene]:
    """Prepare what the blocks of a page need; yield where they are run."""
    folder.mkdir()
    files = {"photo.jpg": pictures.photo, "scan.png": pictures.scan, "photo.png": pictures.scan}
    files |= {"chart.png": pictures.chart, "huge.png": pictures.scan}
    for name, made in files.items():
        if name in text:
            (folder / name).write_bytes(made())
    prepare_access(page, text, folder)
    if page.name == "monitoring.md":
        shutil.copytree(ROOT / "deploy", folder / "deploy")
    if page.name == "operate.md":
        shutil.copy(ROOT / "deploy" / "prometheus" / "alerting.rules.yml", folder)
    if page.name == "exporter.md":
        write_logs(folder)
    if "s3://" not in text:
        yield Scene(folder, {})
        return
    with moto_server() as server:
        for bucket in BUCKETS:
            server.client.create_bucket(Bucket=bucket)
        for number, key in enumerate(("2024/a.jpg", "2024/b.jpg", "2019/c.jpg")):
            data = pictures.small_photo(number)
            server.client.put_object(Bucket="photos", Key=key, Body=data, ContentType="image/jpeg")
        yield Scene(folder, {name: value for name, value in os.environ.items() if name.startswith("AWS_")})


def before_block(block: Block, folder: Path) -> None:
    """Renew the folders of pictures before a block that uses them, and remove results of earlier blocks."""
    for name, files in (("photos", pictures.photos), ("album", pictures.album), ("pictures", pictures.pictures)):
        if re.search(rf"^(?:\$ )?compressor (?:batch|compress)(?: -\S+)* {name} ", block.text, re.MULTILINE):
            made = files()
            if "broken" not in block.text:  # then its commands must succeed
                made.pop("broken.jpg", None)
            pictures.write(folder / name, made)
            for results in ("small", "out", "originals"):
                shutil.rmtree(folder / results, ignore_errors=True)


def prepare_access(page: Path, text: str, folder: Path) -> None:
    """Write certificates and a token, if a page uses them."""
    if "$(cat token)" in text:
        (folder / "token").write_text("secret\n")
    if "server.pem" in text or page.name == "operate.md":
        certificates = pem.pems()
        (folder / "server.pem").write_bytes(certificates["server"].cert)
        (folder / "server.key").write_bytes(certificates["server"].private())
        (folder / "ca.pem").write_bytes(certificates["ca"].cert)


def write_logs(folder: Path) -> None:
    """Write access logs of nginx and of S3 that tell of a download each."""
    (folder / "access.log").write_text('192.0.2.1 - - [01/Dec/2026:10:00:00 +0000] "GET /2024/a.jpg HTTP/1.1" 200 99\n')
    (folder / "s3").mkdir()
    fields = "owner photos [01/Dec/2026:10:00:00 +0000] 192.0.2.1 - id REST.GET.OBJECT 2024/a.jpg"
    (folder / "s3" / "log").write_text(f'{fields} "GET /2024/a.jpg HTTP/1.1" 200 - 99 99\n')
