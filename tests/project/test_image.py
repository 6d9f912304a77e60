"""The container image, built by buildah from the Dockerfile and run as intended: without root, on a read-only root.

Neither a registry of images nor a Docker daemon is needed: the base is made from Debian packages.
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from compressor.kernels import cpus
from tests import ROOT

BASE = "localhost/python:3.11-slim"
PACKAGES = "python3,python3-venv,python3-dev,ca-certificates"  # the official image has the headers of Python, too
IMAGE = "localhost/compressor"
HEALTHY_SECONDS_MAX = 10  # ten times as long as on an idle machine

# A new mount namespace with the image's file system, read-only except for the volume; then the image's user.
ENTER = """
set -e
root=$1 volume=$2; shift 2
mount --bind "$root" "$root"
mount -o remount,ro,bind "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev"
touch "$root/dev/null" "$root/dev/urandom"
mount --bind /dev/null "$root/dev/null"
mount --bind /dev/urandom "$root/dev/urandom"
if [ -n "$volume" ]; then mount --bind "$volume" "$root/var/tmp"; fi
cd "$root"
exec chroot --userspec=65532:65532 "$root" "$@"
"""

LOADED = """
import json, sys
from compressor import kernels
from compressor.kernels import library
kernels.import_all()
print(json.dumps({"kernels": library.description(), "numba": "numba" in sys.modules}))
"""


class Buildah:
    """Buildah with its own store, so that the machine's is not touched."""

    def __init__(self, folder: Path) -> None:
        self._options = ["--root", str(folder / "store"), "--runroot", str(folder / "run")]
        self._environment = os.environ | {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "overlay"}
        try:
            self("from", "scratch")
        except RuntimeError:  # not every file system supports an overlay; slower, but always available
            self._environment["STORAGE_DRIVER"] = "vfs"

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            ["buildah", *self._options, *arguments], env=self._environment, capture_output=True, text=True, timeout=900
        )
        if done.returncode:
            raise RuntimeError(f"buildah {' '.join(arguments)}: {done.stdout[-4000:]}{done.stderr[-4000:]}")
        return done.stdout.strip()


@pytest.fixture(scope="module")
def buildah() -> Iterator[Buildah]:
    folder = Path(tempfile.mkdtemp(prefix="compressor-image-", dir="/var/tmp"))
    run = Buildah(folder)
    yield run
    run("umount", "--all")
    run("rm", "--all")
    run("rmi", "--all", "--force")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def base(buildah: Buildah, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build a small Debian with Python 3.11 in place of docker.io/library/python:3.11-slim."""
    tree = tmp_path_factory.mktemp("base") / "base.tar"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(tree)]
    subprocess.run(command, check=True, timeout=600)
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, str(tree), "/")
    tree.unlink()
    buildah("config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", container)
    buildah("commit", "--quiet", "--rm", container, BASE)
    return BASE


@pytest.fixture(scope="module")
def image(buildah: Buildah, base: str) -> str:
    """Build the Dockerfile. Its pip has the configuration and the certificates of this machine."""
    shared = [path for path in ("/etc/pip.conf", "/etc/ssl/certs") if Path(path).exists()]
    volumes = [f"--volume={path}:{path}:ro" for path in shared]
    network = ["--format=docker", "--network=host"]
    buildah("build", *network, *volumes, f"--build-arg=BASE={base}", f"--tag={IMAGE}", str(ROOT))
    return IMAGE


@pytest.fixture(scope="module")
def config(buildah: Buildah, image: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(buildah("inspect", "--type=image", image))["Docker"]["config"]
    return found


@pytest.fixture(scope="module")
def tree(buildah: Buildah, image: str) -> Path:
    """Mount the image's file system."""
    return Path(buildah("mount", buildah("from", "--pull-never", image)))


class Container:
    """A container that runs commands as the image's user, in the image's environment, on a read-only root."""

    def __init__(self, tree: Path, volume: Path, config: dict[str, Any]) -> None:
        self._tree = tree
        self._volume = volume
        self._environment = [str(entry) for entry in config["Env"]]

    def command(self, *arguments: str, volume: bool = True, **environment: str) -> list[str]:
        variables = [*self._environment, *(f"{name}={value}" for name, value in environment.items())]
        enter = ["unshare", "--mount", "sh", "-c", ENTER, "enter", str(self._tree), str(self._volume) if volume else ""]
        return [*enter, "/usr/bin/env", "-i", *variables, *arguments]

    def run(self, *arguments: str, volume: bool = True, **environment: str) -> str:
        command = self.command(*arguments, volume=volume, **environment)
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def container(tree: Path, config: dict[str, Any]) -> Iterator[Container]:
    """Yield a container with a volume on a disk, which a spool needs."""
    with tempfile.TemporaryDirectory(prefix="compressor-volume-", dir="/var/tmp") as volume:
        Path(volume).chmod(0o1777)
        yield Container(tree, Path(volume), config)


def test_the_image_declares_how_it_is_run(config: dict[str, Any]) -> None:
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["compressor"]
    assert config["Cmd"] == ["serve", "--address", "0.0.0.0:50051", "--metrics-address", "0.0.0.0:9464"]
    assert config["Healthcheck"]["Test"] == ["CMD", "compressor", "health", "--address", "127.0.0.1:50051"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Volumes"] == {"/var/tmp": {}}


def test_the_image_runs_without_root_and_without_write_access(container: Container) -> None:
    assert container.run("id", "-u", volume=False).strip() == "65532"
    for path in ("/x", "/tmp/x", "/var/tmp/x", "/opt/compressor/x"):
        with pytest.raises(AssertionError, match=r"Read-only file system|Permission denied"):
            container.run("touch", path, volume=False)
    assert "Usage: compressor" in container.run("compressor", "--help", volume=False)


@pytest.mark.parametrize("volume", [True, False])
def test_every_kernel_is_in_the_images_library(container: Container, volume: bool) -> None:
    found = json.loads(container.run("python", "-c", LOADED, volume=volume))

    assert found == {"kernels": f"compiled, {cpus.best_cpu(cpus.cpu_flags())}", "numba": False}


def test_the_image_has_no_tool_to_install_or_compile(tree: Path) -> None:
    packages = tree / "opt/compressor/lib/python3.11/site-packages"

    assert (packages / "compressor").is_dir()
    assert not [
        name
        for name in ("pip", "setuptools", "hatchling", "numba", "llvmlite", "ziglang")
        if (packages / name).exists()
    ]


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def serving(container: Container, address: str) -> Iterator[subprocess.Popen[str]]:
    command = container.command("compressor", "serve", "--address", address, "--metrics-address", free_address())
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def is_healthy(container: Container, address: str) -> bool:
    return subprocess.run(container.command("compressor", "health", "--address", address)).returncode == 0


def test_the_container_serves_reports_health_and_stops_on_sigterm(container: Container) -> None:
    address = free_address()
    assert not is_healthy(container, address)
    with serving(container, address) as process:
        deadline = time.monotonic() + HEALTHY_SECONDS_MAX
        while not is_healthy(container, address):
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            assert time.monotonic() < deadline

        process.terminate()

        process.communicate(timeout=30)
        assert process.returncode == 0
