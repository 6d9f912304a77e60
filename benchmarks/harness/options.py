"""Options that several benchmarks have."""

import argparse
from collections.abc import Callable, Sequence


def add_parts(parser: argparse.ArgumentParser, parts: Sequence[str]) -> None:
    """Add `--parts`, some of `parts` separated by commas."""
    parser.add_argument(
        "--parts", type=among(parts), default=parts, help=f"of {', '.join(parts)}; default: all", metavar="NAME,…"
    )


def among(parts: Sequence[str]) -> Callable[[str], list[str]]:
    """Return a parser of names separated by commas, each of them one of `parts`."""

    def parsed(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in parts]:
            raise argparse.ArgumentTypeError(f"{unknown[0]} is not one of {', '.join(parts)}")
        return names

    return parsed
