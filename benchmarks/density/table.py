"""What a run of `density` found, in figures: BD-rates by set and range, photograph by photograph, and the scale."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from benchmarks.density.curves import METRICS, RANGES, Point, bd_rate, mean
from benchmarks.harness import encoders, record

Measured = dict[str, list[Point]]  # by encoder
Images = dict[str, Measured]  # by photograph
Results = dict[str, Images]  # by set

PILLOW, JPEGLI = encoders.PILLOW.name, encoders.JPEGLI.name
REFERENCES = (PILLOW, JPEGLI)
KODAK = "Kodak"
SCALE_OFF_MAX = 1.5  # by which our mean score at a quality may differ from libjpeg-turbo's
SCALE_QUALITIES = range(30, 96)
SCALE_IMAGES_MIN = 18  # a promise about means holds for no single photograph


def groups(results: Results) -> Results:
    """The sets, and Kodak's two halves together before them."""
    halves = {name: images for name, images in results.items() if name.startswith(KODAK)}
    if len(halves) < 2:
        return results
    together = {image: measured for images in halves.values() for image, measured in sorted(images.items())}
    return {f"{KODAK} {len(together)}": dict(sorted(together.items())), **results}


def metrics_of(images: Images) -> tuple[str, ...]:
    """Those by which all was measured."""
    points = (point for measured in images.values() for line in measured.values() for point in line)
    return METRICS if all(point.butteraugli is not None for point in points) else METRICS[:1]


def rates_of(results: Results) -> list[dict[str, Any]]:
    """BD-rates of every encoder against Pillow's default and jpegli, in percent, by set, metric and range."""
    rates: list[dict[str, Any]] = []
    for name, images in groups(results).items():
        encoders_ = list(next(iter(images.values())))
        for reference in (one for one in REFERENCES if one in encoders_):
            for encoder in (one for one in encoders_ if one != reference):
                for metric in metrics_of(images):
                    for range_, limits in RANGES.items():
                        each = {
                            image: 100 * bd_rate(measured[encoder], measured[reference], metric, limits)
                            for image, measured in images.items()
                        }
                        rates.append(
                            {"set": name, "encoder": encoder, "against": reference, "metric": metric, "range": range_}
                            | {"percent": or_none(mean(list(each.values())))}
                            | {"images": {image: or_none(rate) for image, rate in each.items()}}
                        )
    return rates


def or_none(figure: float) -> float | None:
    """As JSON has no NaN."""
    return None if math.isnan(figure) else round(figure, 3)


def scale_of(results: Results, efforts: Sequence[str]) -> dict[str, dict[str, dict[int, float]]]:
    """Mean SSIMULACRA2 by set, encoder and quality: Pillow's, and ours above it."""
    scale: dict[str, dict[str, dict[int, float]]] = {}
    for name, images in groups(results).items():
        means = {
            encoder: {
                points[0].quality: round(sum(point.ssimulacra2 for point in points) / len(points), 3)
                for points in zip(*(measured[encoder] for measured in images.values()), strict=True)
            }
            for encoder in (PILLOW, *efforts)
        }
        scale[name] = {PILLOW: means[PILLOW]} | {
            effort: {quality: round(score - means[PILLOW][quality], 3) for quality, score in means[effort].items()}
            for effort in efforts
        }
    return scale


def scale_problems(results: Results, scale: dict[str, dict[str, dict[int, float]]]) -> list[str]:
    """Where `quality` gives another score than libjpeg-turbo's in the mean of a set that is large enough to tell."""
    sizes = {name: len(images) for name, images in groups(results).items()}
    return [
        f"{name}, {effort}: SSIMULACRA2 at quality {quality} is {off:+.1f} off libjpeg-turbo's"
        for name, lines in scale.items()
        if sizes[name] >= SCALE_IMAGES_MIN
        for effort, line in lines.items()
        if effort != PILLOW
        for quality, off in line.items()
        if quality in SCALE_QUALITIES and abs(off) > SCALE_OFF_MAX
    ]


# --- tables -------------------------------------------------------------------------------------------------------


def tables(results: Results, rates: list[dict[str, Any]], scale: dict[str, dict[str, dict[int, float]]]) -> list[Table]:
    """Three: means by set, every photograph, and what a quality means."""
    return [table_of_means(results, rates), table_of_photographs(results, rates), table_of_scale(scale)]


def percent(rates: list[dict[str, Any]], **wanted: str) -> str:
    """The mean of the line that is wanted; "-" where there is none."""
    for rate in rates:
        if all(rate[key] == value for key, value in wanted.items()) and rate["percent"] is not None:
            return f"{rate['percent']:+.1f}"
    return "-"


def is_ours(encoder: str) -> bool:
    return encoder in encoders.EFFORTS


def table_of_means(results: Results, rates: list[dict[str, Any]]) -> Table:
    table = record.table(
        "Bytes at equal look, 4:2:0: BD-rate in %, mean over the photographs (less is better)",
        ("encoder",),
        (
            "against Pillow\nSSIMULACRA2\n50-90",
            *(f"\n\n{range_}" for range_ in list(RANGES)[1:]),
            "butter-\naugli\n3-norm",
            "against jpegli\nSSIMULACRA2\n50-90",
            "butter-\naugli\n3-norm",
        ),
        "butteraugli: over the part of the reference's curve where its SSIMULACRA2 is 50 to 90",
    )
    for name, images in groups(results).items():
        table.add_section()
        table.add_row(Text(f"{name} ({len(images)})", style="italic"))
        for encoder in next(iter(images.values())):
            cells = [
                percent(rates, set=name, encoder=encoder, against=against, metric=metric, range=range_)
                for against, metric, range_ in (
                    *((PILLOW, METRICS[0], range_) for range_ in RANGES),
                    (PILLOW, METRICS[1], "50-90"),
                    *((JPEGLI, metric, "50-90") for metric in METRICS),
                )
            ]
            table.add_row(f"  {encoder}", *cells, style="bold" if is_ours(encoder) else "")
    return table


def table_of_photographs(results: Results, rates: list[dict[str, Any]]) -> Table:
    """Against Pillow by SSIMULACRA2."""
    names = [one for one in next(iter(next(iter(results.values())).values())) if one != PILLOW]
    found = {
        (rate["encoder"], image): figure
        for rate in rates
        if (rate["against"], rate["metric"], rate["range"]) == (PILLOW, METRICS[0], "50-90")
        for image, figure in rate["images"].items()
    }
    table = record.table(
        "Each photograph: BD-rate in % against Pillow's default, SSIMULACRA2 50 to 90",
        ("photograph",),
        [name.replace(", ", "\n") for name in names],
    )
    for images in results.values():
        table.add_section()
        for image in images:
            figures = (found.get((name, image)) for name in names)
            table.add_row(Text(image), *("-" if figure is None else f"{figure:+.1f}" for figure in figures))
    return table


def table_of_scale(scale: dict[str, dict[str, dict[int, float]]]) -> Table:
    """A line a quality, for all photographs of a set."""
    efforts = [name for name in next(iter(scale.values())) if name != PILLOW]
    table = record.table(
        "What a quality means: mean SSIMULACRA2 of Pillow's results, and how far ours are off it",
        ("set", "quality"),
        (PILLOW, *efforts),
        f"promised for {SCALE_QUALITIES[0]} to {SCALE_QUALITIES[-1]}: within ±{SCALE_OFF_MAX}",
    )
    for cells in lines_of_scale(scale, efforts):
        table.add_row(*cells)
    return table


def lines_of_scale(scale: dict[str, dict[str, dict[int, float]]], efforts: Sequence[str]) -> Iterator[list[str]]:
    for name, lines in scale.items():
        for number, (quality, score) in enumerate(lines[PILLOW].items()):
            yield [
                "" if number else name,
                str(quality),
                f"{score:.1f}",
                *(f"{lines[effort][quality]:+.2f}" for effort in efforts),
            ]
