"""Commands from start to end, each in a process of its own, and the server when it is idle."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from pathlib import Path

import compressor
from benchmarks import ROOT
from benchmarks.harness import fidelity, photos
from benchmarks.harness.server import ServerProcess

LAUNCHER = Path(__file__).with_name("launcher.py")
SCRIPT = ROOT / "scripts" / "compressor"  # what an installation has as `compressor`
SIZE = (768, 512)  # pixels of the photograph
SOURCE_QUALITY, QUALITY = 92, 80
PSNR_MIN_DB = 28.0
# Goals in CPU seconds, for the commands of `compressor`.
CPU_SECONDS_MAX = {"--help": 0.2, "inspect": 0.4, "first compress": 1.0, "compress again": 1.0}
JPEGOPTIM = "jpegoptim"
PILLOW_SIZE = "import sys; from PIL import Image; print(*Image.open(sys.argv[1]).size)"
PILLOW_SAVE = (
    "import sys; from PIL import Image; "
    f"Image.open(sys.argv[1]).save(sys.argv[2], quality={QUALITY}, optimize=True, progressive=True)"
)


@dataclass(frozen=True)
class Command:
    """A command to measure, and how its output is checked.

    words   the command; SOURCE and RESULT stand for the files
    prints  text that its output has
    """

    task: str
    tool: str
    words: tuple[str, ...]
    prints: str = ""

    @property
    def is_ours(self) -> bool:
        return self.tool == "compressor"


@dataclass(frozen=True)
class Use:
    """The time and memory that one run of a command took."""

    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int


@dataclass
class Measured:
    """All runs of a command, and the first problem with its output."""

    command: Command
    uses: list[Use] = field(default_factory=list)
    problem: str = ""

    @property
    def medians(self) -> Use:
        """Return the median of each quantity over all runs."""
        runs = (astuple(use) for use in self.uses)
        cpu, wall, peak = (statistics.median(values) for values in zip(*runs, strict=True))
        return Use(cpu, wall, int(peak))

    @property
    def is_slow(self) -> bool:
        """Return whether it takes more CPU time than its goal."""
        return self.command.is_ours and self.medians.cpu_seconds > CPU_SECONDS_MAX[self.command.task]


def has_jpegoptim() -> bool:
    return shutil.which(JPEGOPTIM) is not None


def commands() -> list[Command]:
    """Return the commands in the order in which a round runs them: ours, then those of others, by task."""
    python, ours = sys.executable, (sys.executable, str(SCRIPT))
    compress = (*ours, "compress", "SOURCE", "-o", "RESULT", "--quality", str(QUALITY))
    found = [
        Command("--help", "compressor", (*ours, "--help"), "Usage: compressor"),
        Command("--help", "python -c pass", (python, "-c", "pass")),
        Command("inspect", "compressor", (*ours, "inspect", "SOURCE"), f"{SIZE[0]} × {SIZE[1]}"),
        Command("inspect", "Pillow", (python, "-c", PILLOW_SIZE, "SOURCE"), f"{SIZE[0]} {SIZE[1]}"),
        Command("first compress", "compressor", compress),
        Command("compress again", "compressor", compress),
        Command("compress again", "Pillow", (python, "-c", PILLOW_SAVE, "SOURCE", "RESULT")),
    ]
    if has_jpegoptim():
        words = (str(shutil.which(JPEGOPTIM)), "--quiet", f"-m{QUALITY}", "--all-progressive", "--stdout", "SOURCE")
        found.append(Command("compress again", JPEGOPTIM, words))
    return found


def source(path: Path) -> None:
    """Write the photograph: a part of one of the corpus, or else of one of scikit-image's, tiled to the size."""
    from PIL import Image

    picture = photos.pixels(next(iter(photos.from_corpus("kodak")), photos.packaged()[4]))
    image = Image.new("RGB", SIZE)
    for left in range(0, SIZE[0], picture.shape[1]):
        for top in range(0, SIZE[1], picture.shape[0]):
            image.paste(Image.fromarray(picture), (left, top))
    image.save(path, "JPEG", quality=SOURCE_QUALITY)


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a user without settings, whose caches are in `home`."""
    ours = ("COMPRESSOR_", "NUMBA_", "PYTHON", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}


def launch(words: list[str], output: Path, home: Path) -> Use:
    """Run a command. Raises RuntimeError with its output if it fails."""
    command = [sys.executable, "-I", "-S", str(LAUNCHER), str(output), *words]
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, check=True)
    code, cpu, wall, peak = done.stdout.split()
    if code != "0":
        raise RuntimeError(f"{' '.join(words)} ended with code {code}: {output.read_text(errors='replace')[-3000:]}")
    return Use(float(cpu), float(wall), int(peak))


def run_once(command: Command, folder: Path, home: Path) -> tuple[Use, str]:
    """Run a command once; return its use, and what is wrong with its output or ""."""
    original, result, output = folder / "photo.jpg", folder / "result.jpg", folder / "output"
    result.unlink(missing_ok=True)
    files = {"SOURCE": str(original), "RESULT": str(result)}
    use = launch([files.get(word, word) for word in command.words], output, home)
    if "--stdout" in command.words:
        output.rename(result)
    elif "RESULT" not in command.words:
        return use, "" if command.prints in output.read_text() else f"does not print {command.prints!r}"
    return use, problem_of(original.read_bytes(), result.read_bytes())


def problem_of(data: bytes, result: bytes) -> str:
    """Return why a compressed photograph is wrong, or ""."""
    if len(result) >= len(data):
        return "not smaller"
    psnr = fidelity.psnr(fidelity.decoded(data), fidelity.decoded(result))
    return "" if psnr >= PSNR_MIN_DB else f"{psnr:.1f} dB"


def measure(chosen: list[Command], rounds: int, on_progress: Callable[[str], None]) -> list[Measured]:
    """Run all commands in interleaved rounds. In each, `first compress` has empty caches, and all others share those
    that it leaves."""
    results = [Measured(command) for command in chosen]
    first = [one for one in results if one.command.task == "first compress"]
    others = [one for one in results if one not in first]
    with tempfile.TemporaryDirectory(prefix="start-") as name:
        folder = Path(name)
        source(folder / "photo.jpg")
        for number in range(rounds + 1):  # the first one is not counted: files are read from the disk
            on_progress(f"round {number} of {rounds}")
            home = folder / f"home{number}"
            home.mkdir()
            for one in [*first, *(others if number % 2 else reversed(others))]:
                use, problem = run_once(one.command, folder, home)
                one.uses += [use] if number else []
                one.problem = one.problem or problem
    return results


@dataclass(frozen=True)
class IdleServer:
    """A server that has just become healthy, and after it has compressed one photograph."""

    cpu_seconds: float
    wall_seconds: float
    resident_bytes: int
    resident_after_bytes: int
    problem: str


def measure_server(rounds: int) -> IdleServer:
    """Start the server `rounds` times; return medians."""
    found = []
    with tempfile.TemporaryDirectory(prefix="start-") as name:
        path = Path(name) / "photo.jpg"
        source(path)
        for _ in range(rounds):
            with ServerProcess() as server:
                idle = server.cpu_seconds or 0.0, server.start_seconds, server.resident_bytes or 0
                with compressor.Client(server.address) as client:
                    problem = problem_of(path.read_bytes(), client.compress(path, quality=QUALITY).data)
                found.append((*idle, server.resident_bytes or 0, problem))
    cpu, wall, resident, after = (statistics.median(values) for values in list(zip(*found, strict=True))[:4])
    return IdleServer(cpu, wall, int(resident), int(after), max(problem for *_, problem in found))
