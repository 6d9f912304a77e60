"""The unit for systemd: accepted by systemd-analyze, hardened, and right for the server. It is not started."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy import sizing
from tests.deploy.real_prometheus import DEPLOY

UNIT = DEPLOY / "systemd" / "compressor.service"
DROP_IN = DEPLOY / "systemd" / "tls.conf"
EXECUTABLE = "/opt/compressor/bin/compressor"
EXPOSURE_MAX = 15  # of 100; systemd calls less than 20 "OK", its best but "SAFE"


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60)


@pytest.fixture(params=[False, True], ids=["plain", "with TLS"])
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the unit with a program that exists here, with and without the drop-in file."""
    unit = tmp_path / UNIT.name
    program = Path(sys.executable).with_name("compressor")
    unit.write_text(UNIT.read_text().replace(f"ExecStart={EXECUTABLE} ", f"ExecStart={program} "))
    if request.param:
        (tmp_path / f"{UNIT.name}.d").mkdir()
        shutil.copy(DROP_IN, tmp_path / f"{UNIT.name}.d")
    return unit


def values(text: str, key: str) -> list[str]:
    return re.findall(rf"(?m)^{key}=(.*)$", text)


def test_systemd_accepts_the_unit_without_a_warning(unit: Path) -> None:
    done = analyze("verify", str(unit))

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_misspelled_key_is_found(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("ProtectSystem=", "ProtectSystems="))

    assert "ProtectSystems" in analyze("verify", str(unit)).stderr


def test_the_unit_is_exposed_to_little(unit: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", str(unit))

    assert done.returncode == 0, done.stdout[-2000:]


def test_sizes_follow_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    text = UNIT.read_text()
    given = dict(value.split("=", 1) for value in values(text, "Environment"))
    config = sizing.server_config({name: value for name, value in given.items() if "COMPRESSOR" in name}, monkeypatch)

    (memory,), (stop_seconds,) = values(text, "MemoryMax"), values(text, "TimeoutStopSec")
    sizing.assert_sizes(config, sizing.size(memory), float(stop_seconds))
    (cache,) = values(text, "CacheDirectory")
    assert config.spool_dir == f"%C/{cache}"


def test_the_drop_in_file_sets_variables_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    given = dict(value.split("=", 1) for value in values(DROP_IN.read_text(), "Environment"))
    config = sizing.server_config(given, monkeypatch)

    assert config.tls_cert and config.tls_key and config.token_file


def test_the_flags_of_the_cpu_can_be_read() -> None:
    """With ProcSubset=pid there is no /proc/cpuinfo, and the server would use its slow kernels, for any x86-64."""
    assert values(UNIT.read_text(), "ProcSubset") == []
