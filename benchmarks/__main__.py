"""python -m benchmarks NAME [--out DIR] [options of that benchmark]"""

import argparse
import importlib
import sys
from pathlib import Path

NAMES = {
    "demo": "real photographs and 100 megapixels through a running service",
    "speed": "encoding pixels beside Pillow, jpegli and mozjpeg, interlaced",
    "density": "bytes at equal look beside them, drawn, with crops [--efforts fast,best] [--images N]",
    "train_huffman": "train the Huffman codes of compressor/jpeg/static_codes.py, and compare",
    "concurrency": "many images at once in one process: MP/s and CPU time [--sides N,N] [--threads N,N]",
    "bandwidth": "bytes on the wire, time to first byte and MB/s through the service",
    "memory": "peak memory over the size, drawn [--megapixels 1,4,16,100,400] [--cache DIR] [--json]",
    "batch": "whole buckets: objects/s, CPU time beside the codec, memory over the keys [--objects N] [--endpoint URL]",
    "footprint": "what the estimate of carbon depends on, drawn; break-evens [--page docs/methodology.md]",
    "dashboard": "the panels of deploy/grafana on one sheet --prometheus URL [--minutes N]",
    "savings": "CPU time, joules and days until it pays for a GB saved, at equal look [--images N] [--repeats N]",
}


def main() -> int:
    """Run one of them; 0 where every check of its output held."""
    listed = "\n".join(f"  {name:13} {text}" for name, text in NAMES.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", epilog=f"names:\n{listed}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=NAMES, metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder for the results")
    arguments, rest = parser.parse_known_args()
    benchmark = importlib.import_module(f"benchmarks.{arguments.name}")
    if rest and not hasattr(benchmark, "options"):
        parser.error(f"{arguments.name} has no {' '.join(rest)}")
    good = benchmark.run(arguments.out, rest) if rest else benchmark.run(arguments.out)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
