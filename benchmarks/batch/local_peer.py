"""Local files: `compressor batch`, compared with as many processes of jpegoptim on copies of the same files."""

import hashlib
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.batch import measure
from benchmarks.batch.backends import FolderBackend
from benchmarks.harness import sources

WORKERS = 2
FILES_OF_A_PROCESS = 20  # of jpegoptim
QUALITY = 85
EFFORT = "fast"
JPEGOPTIM = "jpegoptim"
# Numbers of objects by the name of their size in `sources.SIZES`
OBJECTS = {"0.4": 200, "8": 40}
QUICK_OBJECTS = {"0.4": 40, "8": 20}


@dataclass(frozen=True)
class LocalResult:
    """Medians over all rounds of one tool.

    objects_per_second  from the start of the command to its end
    vs_peer             ratio of each round's objects a second to the peer's; None without it
    cpu_seconds         for each object, of the whole command
    codec_seconds       CPU time for each object in the codec, start-up excluded; None for the peer
    other_seconds       CPU time for each object outside the codec, start-up excluded; None for the peer
    saved               share of the bytes
    """

    tool: str
    size: str
    objects: int
    objects_per_second: float
    vs_peer: float | None
    cpu_seconds: float
    codec_seconds: float | None
    other_seconds: float | None
    saved: float
    problem: str


@dataclass
class ToolRuns:
    """Runs of a tool over the same objects."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    codec_seconds: list[float] = field(default_factory=list)
    other_seconds: list[float] = field(default_factory=list)
    digest: str = ""
    written: int = 0
    problem: str = ""

    def check(self, objects: Mapping[str, bytes], contents: Iterable[tuple[str, bytes]]) -> None:
        """Check all results of the first run. Those of later runs have to be the same bytes."""
        found = dict(contents)
        names = (f"{key} {hashlib.sha256(data).hexdigest()}" for key, data in sorted(found.items()))
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
        if not self.digest:
            self.digest, self.written = digest, sum(map(len, found.values()))
            self.problem = measure.problem_of_contents(objects, found.items())
        elif digest != self.digest:
            self.problem = self.problem or "the results differ between two runs"


def has_jpegoptim() -> bool:
    """Return whether the peer is installed (Debian: jpegoptim)."""
    return shutil.which(JPEGOPTIM) is not None and shutil.which("xargs") is not None


def generate_objects(size: sources.Size, count: int) -> dict[str, bytes]:
    """Return different photographs by key, in ten folders."""
    return {f"{number % 10}/{number:06}.jpg": data for number, data in enumerate(sources.files(size, count))}


def run_ours(backend: FolderBackend, objects: Mapping[str, bytes], runs: ToolRuns) -> None:
    """Compress a few objects, then all of them, into an empty folder."""
    arguments = ("--effort", EFFORT, "--quality", QUALITY)
    few = measure.first_of(objects)
    short, _ = measure.compress(backend, few, WORKERS, *arguments)
    run, target = measure.compress(backend, objects, WORKERS, *arguments)
    codec, other = measure.cpu_seconds_of_object(short, run, len(objects) - len(few))
    runs.seconds.append(run.seconds)
    runs.cpu_seconds.append(run.cpu_seconds / len(objects))
    runs.codec_seconds.append(codec)
    runs.other_seconds.append(other)
    runs.check(objects, backend.contents(target))
    if run.summary["objects"] != len(objects):
        runs.problem = runs.problem or f"the summary has {run.summary['objects']} of {len(objects)} objects"


def run_jpegoptim(backend: FolderBackend, objects: Mapping[str, bytes], runs: ToolRuns) -> None:
    """Let jpegoptim replace copies of all objects."""
    folder = backend.create_with(objects)
    paths = "\0".join(str(Path(folder) / key) for key in objects)
    command = ["xargs", "-0", f"-P{WORKERS}", "-n", str(FILES_OF_A_PROCESS)]
    command += [JPEGOPTIM, "--quiet", "--all-progressive", f"-m{QUALITY}"]
    cpu, start = measure.children_cpu_seconds(), time.perf_counter()
    subprocess.run(command, input=paths, text=True, check=True)
    runs.seconds.append(time.perf_counter() - start)
    runs.cpu_seconds.append((measure.children_cpu_seconds() - cpu) / len(objects))
    runs.check(objects, backend.contents(folder))


Run = Callable[[FolderBackend, Mapping[str, bytes], ToolRuns], None]
OURS = "compressor batch"
TOOLS: dict[str, Run] = {OURS: run_ours, JPEGOPTIM: run_jpegoptim}


def compare(size: sources.Size, count: int, rounds: int) -> list[LocalResult]:
    """Run all tools in interleaved rounds, every other one in reverse order."""
    objects = generate_objects(size, count)
    tools = {name: run for name, run in TOOLS.items() if name == OURS or has_jpegoptim()}
    runs = {name: ToolRuns() for name in tools}
    for number in range(rounds):
        for name in tools if number % 2 else reversed(tools):
            with tempfile.TemporaryDirectory() as root:
                tools[name](FolderBackend(Path(root)), objects, runs[name])
    return [result_of(name, runs[name], runs.get(JPEGOPTIM), size, objects) for name in tools]


def result_of(
    name: str, runs: ToolRuns, peer: ToolRuns | None, size: sources.Size, objects: Mapping[str, bytes]
) -> LocalResult:
    """Return the medians of a tool's runs."""
    ratios = [] if peer is None else [b / a for a, b in zip(runs.seconds, peer.seconds, strict=True)]
    return LocalResult(
        tool=name,
        size=str(size),
        objects=len(objects),
        objects_per_second=statistics.median(len(objects) / seconds for seconds in runs.seconds),
        vs_peer=statistics.median(ratios) if ratios else None,
        cpu_seconds=statistics.median(runs.cpu_seconds),
        codec_seconds=statistics.median(runs.codec_seconds) if runs.codec_seconds else None,
        other_seconds=statistics.median(runs.other_seconds) if runs.other_seconds else None,
        saved=1 - runs.written / sum(map(len, objects.values())),
        problem=runs.problem,
    )
