"""The results of `density` as tables: BD-rates by judge, set and photograph, and the quality scale."""

from typing import Any

from rich.table import Table
from rich.text import Text

from benchmarks.density import scale
from benchmarks.density.curves import METRICS, RANGES, DensityResults, mean
from benchmarks.density.rates import ALL_SCORES, PEERS, PILLOW, Verdict, Verdicts, groups, metrics_of
from benchmarks.density.scale import Deviations, Scale
from benchmarks.harness import encoders, record
from benchmarks.harness.judges import BY_NAME

HEADERS = {
    "ms_ssim": "MS-\nSSIM",
    "butteraugli": "butter-\naugli",
    "ssimulacra2": "SSIMU-\nLACRA2",
    "cvvdp": "Color-\nVideoVDP",
}


def headers(results: DensityResults) -> list[str]:
    """Return the heads of the judges' columns. That of a judge without scores says so."""
    measured = metrics_of({image: each for images in results.values() for image, each in images.items()})
    return [HEADERS[metric] + ("" if metric in measured else "\nmissing") for metric in METRICS]


def is_ours(encoder: str) -> bool:
    """Return whether the encoder is one of our efforts."""
    return encoder in encoders.EFFORTS


def signed(figure: float | None) -> str:
    """Format a figure with its sign; "-" for None and NaN."""
    return "-" if figure is None or figure != figure else f"{figure:+.1f}"


def cells_of(verdict: Verdict | None) -> list[str]:
    """Return cells: the worst figure, that of each judge, and their mean."""
    if verdict is None or not verdict.figures:
        return ["-"] * (len(METRICS) + 2)
    return [
        signed(verdict.figures[verdict.worst]),
        *(signed(verdict.figures.get(metric)) for metric in METRICS),
        signed(verdict.mean),
    ]


def means_table(results: DensityResults, rates: list[dict[str, Any]], found: Verdicts) -> Table:
    """Return the mean BD-rates by set and encoder."""
    parts = [range_ for range_ in RANGES if range_ != ALL_SCORES]
    table = record.table(
        "Bytes at equal visual quality, 4:2:0: BD-rate in % against Pillow's default, less is better",
        ("encoder",),
        ("worst\njudge", *headers(results), "mean", f"SSIMU-\nLACRA2\n{parts[0]}", *parts[1:]),
        f"means over the photographs; all judges over the part of Pillow's curve with an SSIMULACRA2 of {ALL_SCORES}",
    )
    percent = {(rate["set"], rate["encoder"], rate["metric"], rate["range"]): rate["percent"] for rate in rates}
    for name, images in groups(results).items():
        table.add_section()
        table.add_row(Text(f"{name} ({len(images)})", style="italic"))
        for encoder in (one for one in next(iter(images.values())) if one != PILLOW):
            cells = [signed(percent.get((name, encoder, "ssimulacra2", range_))) for range_ in parts]
            verdict = found.get(name, {}).get(encoder)
            table.add_row(f"  {encoder}", *cells_of(verdict), *cells, style="bold" if is_ours(encoder) else "")
    return table


def margins_table(results: DensityResults, ahead: Verdicts) -> Table:
    """Return a row for each set and effort: the worst judge against the better of the two peers, then every judge."""
    table = record.table(
        f"Against the better of {' and '.join(PEERS)}, in points of BD-rate: negative is ahead",
        ("encoder", "worst judge"),
        ("worst", *headers(results), "mean"),
        "the better peer by each judge, and by the mean of the judges",
    )
    for name, lines in ahead.items():
        table.add_section()
        table.add_row(Text(name, style="italic"))
        for effort, verdict in lines.items():
            table.add_row(f"  {effort}", BY_NAME[verdict.worst].title, *cells_of(verdict))
    return table


def photographs_table(results: DensityResults, rates: list[dict[str, Any]]) -> Table:
    """Return the BD-rate of each photograph against Pillow's default, the mean of the judges."""
    names = [one for one in next(iter(next(iter(results.values())).values())) if one != PILLOW]
    figures: dict[tuple[str, str], list[float]] = {}
    for rate in rates:
        if rate["range"] == ALL_SCORES and rate["set"] in results:
            for image, figure in rate["images"].items():
                if figure is not None:
                    figures.setdefault((rate["encoder"], image), []).append(figure)
    table = record.table(
        "Each photograph: BD-rate in % against Pillow's default, mean of the judges",
        ("photograph",),
        [name.replace(", ", "\n") for name in names],
    )
    for images in results.values():
        table.add_section()
        for image in images:
            table.add_row(Text(image), *(signed(mean(figures.get((name, image), []))) for name in names))
    return table


def scale_table(found: Scale) -> Table:
    """Return a row for each set and quality."""
    efforts = [name for name in next(iter(found.values())) if name != PILLOW]
    table = record.table(
        "Quality scale: Pillow's mean SSIMULACRA2, and each effort's difference",
        ("set", "quality"),
        (PILLOW, *efforts),
        f"limit from quality {scale.QUALITIES[0]} to {scale.QUALITIES[-1]}: ±{scale.DIFFERENCE_MAX}",
    )
    for name, lines in found.items():
        for number, (quality, score) in enumerate(lines[PILLOW].items()):
            differences = (f"{lines[effort][quality]:+.2f}" for effort in efforts)
            table.add_row("" if number else name, str(quality), f"{score:.1f}", *differences)
    return table


def deficits_table(found: Deviations) -> Table:
    """Return each effort's deficit by the worst judge."""
    limit = f"limit from quality {scale.QUALITIES[0]} to {scale.QUALITIES[-1]}: {scale.DEFICIT_MAX:g} %"
    title = "Quality scale: % fewer bytes than at the same quality that Pillow needs for our score"
    return deviations_table(found, title, f"by the worst judge; {limit}")


def excesses_table(found: Deviations) -> Table:
    """Return each effort's excess by the worst judge."""
    title = "Each quality: % more bytes than Pillow that we need for our score; negative: fewer bytes"
    return deviations_table(found, title, "by the worst judge")


def deviations_table(found: Deviations, title: str, caption: str) -> Table:
    """Return a row for each set and quality: each effort's greatest figure, and its judge."""
    efforts = list(next(iter(found.values())))
    table = record.table(title, ("set", "quality"), efforts, caption)
    for name, lines in found.items():
        qualities = sorted({quality for line in lines.values() for each in line.values() for quality in each})
        for number, quality in enumerate(qualities):
            cells = (greatest(lines[effort], quality) for effort in efforts)
            table.add_row("" if number else name, str(quality), *cells)
    return table


def greatest(by_metric: dict[str, dict[int, float]], quality: int) -> str:
    """Return the greatest figure at a quality, and its judge."""
    found = [(each[quality], BY_NAME[metric].title) for metric, each in by_metric.items() if quality in each]
    return f"{max(found)[0]:+.1f} {max(found)[1]}" if found else "-"
