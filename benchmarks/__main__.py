"""python -m benchmarks NAME [--out DIR] [options of that benchmark]"""

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType

from benchmarks.harness import record

NAMES = {
    "demo": "send real photographs and a 100-megapixel image through a running service",
    "speed": "encode pixels, compared with Pillow, jpegli and mozjpeg in interleaved rounds",
    "targets": "target scores on photographs: how many are reached and how closely, encodings, bytes against a fixed "
    "quality [--efforts fast,best] [--targets 70,76] [--images N]",
    "density": "compare bytes at equal visual quality, by four judges, with the same encoders; plot and crops "
    "[--quick] [--efforts fast,best] [--images N]",
    "formats": "one quality in JPEG, WebP and AVIF, and the format auto against the best of all encodings [--quick] "
    "[--images N]; --scales makes the tables of compressor/raster/scales.py",
    "palettes": "PNG with few colors: bytes at equal SSIMULACRA2 and CPU time, compared with pngquant [--quick] "
    "[--graphics FOLDER] [--effort best]",
    "train_huffman": "train the Huffman codes of compressor/jpeg/static_codes.py, and compare",
    "tuning": "compare candidates of tables and constants by four judges [--set validation] [--images N] [--efforts "
    "best,fast] [--try luma=0.6,chroma=0.3 …]",
    "small": "JPEG to JPEG in process from 64 × 64 to 12 MP, compared with Pillow; threads compared with processes "
    "[--quick] [--sizes N,N] [--thread-sizes N,N]",
    "service": "CPU time outside the codec, calls/s of one and several workers, a small caller next to large ones; ten "
    "times the load, calls that are held open, a rolling restart, memory over 100,000 calls [--quick] [--soak] "
    "[--parts NAME,NAME] [--seconds N]",
    "scoring": "SSIMULACRA2 of bands: speed compared with PyPI's ssimulacra2, agreement with the twin, and memory "
    "[--quick]",
    "archive": "JPEG as JPEG XL and back: bytes, exactness, CPU time and memory of several libraries, and of Lepton "
    "[--rounds N] [--mutants N]",
    "bandwidth": "bytes on the wire, time to first byte and MB/s through the service",
    "start": "CPU time and memory of commands from start to end, the idle server, the installed size [--rounds N]",
    "memory": "peak memory by image size; plot [--megapixels 1,4,16,100,400] [--cache DIR] [--json]",
    "batch": "whole buckets: objects/s, CPU time outside the codec, memory by number of keys; local files compared "
    "with jpegoptim [--quick] [--parts NAME,NAME] [--objects N] [--endpoint URL]",
    "footprint": "sensitivity of the carbon estimate to its inputs; plot; break-evens [--page docs/methodology.md]",
    "dashboard": "draw the panels of deploy/grafana on one sheet --prometheus URL [--minutes N]",
    "png": "PNG to PNG: bytes and CPU time, compared with oxipng and Pillow [--folder NAME] [--images N] [--rounds N]",
    "savings": "CPU time, energy and payback time per GB saved at equal visual quality [--images N] [--repeats N]",
}


def load(name: str) -> ModuleType:
    """Import a benchmark: a module, or the `run` module of a package."""
    module = importlib.import_module(f"benchmarks.{name}")
    return importlib.import_module(f"benchmarks.{name}.run") if hasattr(module, "__path__") else module


def main() -> int:
    """Run one benchmark; return 0 if every check of its output passed."""
    listed = "\n".join(f"  {name:13} {text}" for name, text in NAMES.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", epilog=f"names:\n{listed}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=NAMES, metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder for the results")
    arguments, rest = parser.parse_known_args()
    benchmark = load(arguments.name)
    if rest and not hasattr(benchmark, "options"):
        parser.error(f"{arguments.name} does not take {' '.join(rest)}")
    print(record.load_line(), file=sys.stderr, flush=True)
    passed = benchmark.run(arguments.out, rest) if rest else benchmark.run(arguments.out)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
