"""Commands of a page, run in a folder as a person would type them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Self

from tests.docs.blocks import Command
from tests.docs.expected import difference, indented
from tests.service.running import free_port

SERVING = re.compile(r"^(?:\w+=\S+ )*compressor (?P<name>serve|exporter)\b")
SECONDS_MAX = 300
# Commands that read what a service logs and counts: it does so after it has answered, so they may come too early.
LATE = re.compile(r"jq |curl -s ")
LATE_SECONDS = 60
# Commands that install something, or change the machine in another way.
FORBIDDEN = ("apt-get", "brew", "cp", "docker", "helm", "kubectl", "make", "npm", "systemctl", "uv")
STUB = "#!/bin/sh\necho this may change the machine: say why the block is not run >&2\nexit 97\n"
EXTRAS = re.compile(r"pip install (?:\.|'(?:\.|compressor)(?:\[(?P<extras>[\w,]+)\])?')(?:\s*#.*)?")
# What a run prints where there is no terminal, in place of a line that changes.
PROGRESS = re.compile(r"^\d\d:\d\d:\d\d batch: .*\n", re.MULTILINE)
FAILS = re.compile(r"^compressor: |^ +failed +\d|^\d+ failed", re.MULTILINE)


def problem_of_extras(command: str) -> str:
    """Return what is wrong with a `pip install`. It is not run, since it needs the network: its extras must exist."""
    found = EXTRAS.fullmatch(command)
    if not found:
        return f"$ {command}\nis not an installation of this package"
    known = distribution("compressor").metadata.get_all("Provides-Extra") or []
    unknown = set(filter(None, (found["extras"] or "").split(","))) - set(known)
    return f"$ {command}\nthere is no extra {', '.join(unknown)}" if unknown else ""


class Shell:
    """A folder in which commands are run, with other ports and hosts than those that a page names.

    ports  printed port → the free one that takes its place
    hosts  printed name of a machine → the address that takes its place
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], hosts: Mapping[str, str]) -> None:
        self.folder = folder
        self.ports = {port: str(free_port()) for port in ("50051", "8080", "9464", "9465")}
        self.hosts = hosts
        self._service: subprocess.Popen[str] | None = None
        stubs = folder.parent / "stubs"
        stubs.mkdir()
        for name in FORBIDDEN:
            (stubs / name).write_text(STUB)
            (stubs / name).chmod(0o755)
        path = os.pathsep.join([str(stubs), str(Path(sys.executable).parent), os.environ["PATH"]])
        # One worker is enough for a batch of eight files, unless a page asks for more.
        own = {"COLUMNS": "130", "COMPRESSOR_WORKERS": "1", "PATH": path, "HOME": str(folder.parent)}
        self._environment = {**os.environ, **own, **environment}
        # As it is in a terminal, except that the progress meter of curl would be in the output.
        (folder.parent / ".curlrc").write_text("silent\nshow-error\n")

    def real(self, text: str) -> str:
        """Return a text of the page with the real addresses."""
        for printed, real in self.hosts.items():
            text = text.replace(printed, real)
        for printed, real in self.ports.items():
            text = re.sub(rf"\b{printed}\b", real, text)
        return text

    def printed(self, text: str) -> str:
        """Return an output with the addresses of the page, as a terminal shows it."""
        text = PROGRESS.sub("", text)
        for printed, real in self.ports.items():
            text = re.sub(rf"\b{real}\b", printed, text)
        return text

    def run(self, command: Command, is_exact: bool) -> str:
        """Run a command; return what is wrong with it, "" if nothing."""
        if command.text.startswith("pip "):
            return problem_of_extras(command.text)
        if SERVING.match(command.text):
            return self._serve(command, is_exact)
        end = time.monotonic() + LATE_SECONDS
        wrong = self._run_once(command, is_exact)
        while wrong and LATE.match(command.text) and time.monotonic() < end:
            time.sleep(0.1)
            wrong = self._run_once(command, is_exact)
        return wrong

    def _run_once(self, command: Command, is_exact: bool) -> str:
        where, out = os.pipe()
        with open(where) as folder:
            done = subprocess.run(
                ["bash", "-c", f"exec 3>&{out}\n{self.real(command.text)}\nstatus=$?\npwd >&3\nexit $status"],
                cwd=self.folder,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=SECONDS_MAX,
                pass_fds=(out,),
            )
            os.close(out)
            self.folder = Path(folder.read().strip() or self.folder)
        output = self.printed(done.stdout)
        if done.returncode not in ((0, 1) if FAILS.search(command.printed or "") else (0,)):
            return f"$ {command.text}\nexits with {done.returncode} and prints\n{indented(output)}"
        wrong = "" if command.printed is None else difference(command.printed, output, is_exact)
        return wrong and f"$ {command.text}\n{wrong}"

    def _serve(self, command: Command, is_exact: bool) -> str:
        """Start a service in place of the one that runs, and wait until it is ready."""
        self.stop()
        found = SERVING.match(command.text)
        assert found
        metrics = self.ports["9464" if found["name"] == "serve" else "9465"]
        environment = {
            **self._environment,
            "COMPRESSOR_ADDRESS": f"127.0.0.1:{self.ports['50051']}",
            "COMPRESSOR_DRAIN_SECONDS": "0",
            "COMPRESSOR_METRICS_ADDRESS": f"127.0.0.1:{metrics}",
        }
        script = self.real(command.text).rstrip("& ")
        log = self.folder.parent / "service.log"
        with log.open("w") as errors:
            self._service = subprocess.Popen(
                ["bash", "-c", f"exec env {script}"],
                cwd=self.folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self._service.stdout
        line = self.printed(self._service.stdout.readline())
        if not line:
            return f"$ {command.text}\nends with\n{indented(log.read_text())}"
        wrong = difference(command.printed, line, is_exact) if command.printed else ""
        return wrong and f"$ {command.text}\n{wrong}"

    def stop(self) -> None:
        """Stop the service that runs, if there is one."""
        if self._service is None:
            return
        self._service.send_signal(signal.SIGTERM)
        assert self._service.stdout
        self._service.stdout.close()
        status = self._service.wait(SECONDS_MAX)
        self._service = None
        assert status == 0, f"the service ended with {status}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
