"""The results of `density` as figures and tables: BD-rates by set, range and photograph, and the quality scale."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from benchmarks.density.curves import METRICS, RANGES, DensityResults, PhotographSet, bd_rate, mean
from benchmarks.harness import encoders, record

Scale = dict[str, dict[str, dict[int, float]]]  # by set, encoder and quality

PILLOW, JPEGLI = encoders.PILLOW.name, encoders.JPEGLI.name
REFERENCES = (PILLOW, JPEGLI)
KODAK = "Kodak"
SCALE_DIFFERENCE_MAX = 1.5  # between our mean score at a quality and libjpeg-turbo's
SCALE_QUALITIES = range(30, 96)
SCALE_IMAGES_MIN = 18  # the limit applies to the mean of a set, not to single photographs


def groups(results: DensityResults) -> DensityResults:
    """Return the sets, preceded by the union of Kodak's two sets."""
    halves = {name: images for name, images in results.items() if name.startswith(KODAK)}
    if len(halves) < 2:
        return results
    union = {image: measured for images in halves.values() for image, measured in images.items()}
    return {f"{KODAK} {len(union)}": dict(sorted(union.items())), **results}


def metrics_of(images: PhotographSet) -> tuple[str, ...]:
    """Return the metrics that were measured for all images."""
    points = (point for measured in images.values() for line in measured.values() for point in line)
    return METRICS if all(point.butteraugli is not None for point in points) else METRICS[:1]


def bd_rates(results: DensityResults) -> list[dict[str, Any]]:
    """Return every encoder's BD-rates against Pillow's default and jpegli, in percent, by set, metric and range."""
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
    """Round a figure; None for NaN, which JSON does not have."""
    return None if math.isnan(figure) else round(figure, 3)


def quality_scale(results: DensityResults, efforts: Sequence[str]) -> Scale:
    """Return the mean SSIMULACRA2 of Pillow's results, and how much that of each effort differs."""
    scale: Scale = {}
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


def scale_problems(results: DensityResults, scale: Scale) -> list[str]:
    """List the qualities at which our mean score differs too much from libjpeg-turbo's, for sets of sufficient size."""
    sizes = {name: len(images) for name, images in groups(results).items()}
    return [
        f"{name}, {effort}: SSIMULACRA2 at quality {quality} differs by {difference:+.1f} from libjpeg-turbo's"
        for name, lines in scale.items()
        if sizes[name] >= SCALE_IMAGES_MIN
        for effort, line in lines.items()
        if effort != PILLOW
        for quality, difference in line.items()
        if quality in SCALE_QUALITIES and abs(difference) > SCALE_DIFFERENCE_MAX
    ]


# --- tables -------------------------------------------------------------------------------------------------------


def tables(results: DensityResults, rates: list[dict[str, Any]], scale: Scale) -> list[Table]:
    """Return three tables: means by set, every photograph, and the quality scale."""
    return [means_table(results, rates), photographs_table(results, rates), scale_table(scale)]


def percent(rates: list[dict[str, Any]], **wanted: str) -> str:
    """Format the mean of the wanted BD-rate; "-" if there is none."""
    for rate in rates:
        if all(rate[key] == value for key, value in wanted.items()) and rate["percent"] is not None:
            return f"{rate['percent']:+.1f}"
    return "-"


def is_ours(encoder: str) -> bool:
    """Return whether the encoder is one of our efforts."""
    return encoder in encoders.EFFORTS


def means_table(results: DensityResults, rates: list[dict[str, Any]]) -> Table:
    """Return the mean BD-rates by set and encoder."""
    table = record.table(
        "Bytes at equal visual quality, 4:2:0: BD-rate in %, mean over the photographs (less is better)",
        ("encoder",),
        (
            "against Pillow\nSSIMULACRA2\n50-90",
            *(f"\n\n{range_}" for range_ in list(RANGES)[1:]),
            "butter-\naugli\n3-norm",
            "against jpegli\nSSIMULACRA2\n50-90",
            "butter-\naugli\n3-norm",
        ),
        "butteraugli: over the part of the reference's curve with an SSIMULACRA2 of 50 to 90",
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


def photographs_table(results: DensityResults, rates: list[dict[str, Any]]) -> Table:
    """Return the BD-rate of each photograph against Pillow, by SSIMULACRA2."""
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


def scale_table(scale: Scale) -> Table:
    """Return a row for each set and quality."""
    efforts = [name for name in next(iter(scale.values())) if name != PILLOW]
    table = record.table(
        "Quality scale: mean SSIMULACRA2 of Pillow's results, and the difference of each effort",
        ("set", "quality"),
        (PILLOW, *efforts),
        f"limit from quality {SCALE_QUALITIES[0]} to {SCALE_QUALITIES[-1]}: ±{SCALE_DIFFERENCE_MAX}",
    )
    for cells in scale_rows(scale, efforts):
        table.add_row(*cells)
    return table


def scale_rows(scale: Scale, efforts: Sequence[str]) -> Iterator[list[str]]:
    """Yield the cells of each row."""
    for name, lines in scale.items():
        for number, (quality, score) in enumerate(lines[PILLOW].items()):
            yield [
                "" if number else name,
                str(quality),
                f"{score:.1f}",
                *(f"{lines[effort][quality]:+.2f}" for effort in efforts),
            ]
