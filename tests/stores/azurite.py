"""Azure's emulator of its blob store, installed by npm (190 MB, into build/azurite)."""

import base64
import hashlib
import hmac
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from uuid import uuid4

import pytest

from tests import ROOT

FOLDER = ROOT / "build" / "azurite"
VERSION = "3.37.0"
ACCOUNT, KEY = "account", base64.b64encode(b"no secret at all").decode()
UP_SECONDS = 60


def install() -> Path:
    """Return the path of the program, installing it on first use."""
    program = FOLDER / "node_modules" / ".bin" / "azurite-blob"
    if not program.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / "package.json").write_text(json.dumps({"private": True}))
        command = ["npm", "install", "--no-audit", "--no-fund", "--silent", f"azurite@{VERSION}"]
        subprocess.run(command, cwd=FOLDER, check=True, timeout=600)
    return program


@contextmanager
def azurite() -> Iterator[str]:
    """Run the emulator and give its address; obstore's environment variables name it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/{ACCOUNT}"
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AZURITE_ACCOUNTS", f"{ACCOUNT}:{KEY}")
        process = subprocess.Popen([install(), "--blobPort", str(port), *options], stdout=subprocess.DEVNULL)
        environment.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
        environment.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
        environment.setenv("AZURE_STORAGE_ENDPOINT", address)
        try:
            for _ in range(UP_SECONDS * 5):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.2)
            yield address
        finally:
            process.kill()
            process.wait()


def container(address: str) -> str:
    """Create a container by a request with a shared key, since obstore can't, and return its name."""
    name, date = f"c-{uuid4().hex}", formatdate(usegmt=True)
    resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\ncomp:\nrestype:container".replace("comp:\n", "")
    signed = "PUT\n" + "\n" * 11 + f"x-ms-date:{date}\nx-ms-version:2023-11-03\n{resource}"
    signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), signed.encode(), hashlib.sha256)).decode()
    headers = {
        "x-ms-date": date,
        "x-ms-version": "2023-11-03",
        "Authorization": f"SharedKey {ACCOUNT}:{signature}",
        "Content-Length": "0",
    }
    url = f"{address}/{name}?restype=container"
    with urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers)):
        return name


def available() -> bool:
    return shutil.which("npm") is not None
