"""Archives of JPEGs: each gives back every byte, or the JPEG stays what it was, and the report says why."""

import io
import sys
from typing import Any

import numpy as np
import pytest

import compressor
from compressor import archive, pipeline
from compressor.archive import library
from compressor.errors import FormatError, SettingsError, UnsupportedError
from compressor.settings import Delivery, Outcome, Path, Report, Settings
from tests.archive.files import PLAIN, mutated_jpegs, odd_jpegs, photo_archive
from tests.fuzz.mutate import mutant
from tests.jpeg_files import jpeg, photo
from tests.planted import jxl, webp
from tests.readable import InMemory

# What libjxl is known to hold; if a later version holds more, this needs no change.
ARCHIVED = (
    "fuzz seed 8", "with a profile", "baseline, tail", "progressive, tail", "grey, tail", "restarts, tail", "wide",
    "tolerated: zeros after the last scan", "planted jpeg-baseline", "planted jpeg-gain-map",
)  # fmt: skip
LEFT = {
    "CMYK": "JPEG XL can't hold this JPEG",
    "12-bit": "JPEG XL can't hold this JPEG",
    "arithmetic": "JPEG XL can't hold this JPEG",
    "a long tail": "JPEG XL can't hold this JPEG",
    "truncated in its scan": "JPEG XL can't hold this JPEG",
    "truncated in its header": "its header can't be read: JPEG",
    "millions of pixels by its header alone": "the file is too short for its image",
}


def archived(data: bytes, *, here: bool = False, **settings: Any) -> tuple[bytes, Report]:
    """Archive a file. Whatever becomes of it, every byte must be there again.

    here  unarchive in this process, since a new one takes 0.2 s
    """
    found = pipeline.compress(data, archive=True, **settings)
    report = found.report
    if report.format == "jxl":
        assert (report.outcome, report.path) == (Outcome.COMPRESSED, Path.LOSSLESS)
        assert len(found.data) < len(data)
        assert (unarchived_here if here else unarchived)(found.data) == data
    else:
        assert (found.data, report.outcome, bool(report.reason)) == (data, Outcome.UNCHANGED, True)
    return found.data, report


def unarchived(data: bytes) -> bytes:
    return b"".join(pipeline.unarchive_stream(data))


def unarchived_here(data: bytes) -> bytes:
    header = archive.read_header(InMemory(data))
    return bytes(archive.jpeg_of(data, archive.jpeg_bytes_max(header, len(data))))


def test_odd_jpegs_are_made_again_exactly_or_left_as_they_were() -> None:
    reports = {name: archived(data)[1] for name, data in odd_jpegs().items()}

    assert [name for name in ARCHIVED if reports[name].format != "jxl"] == []
    assert {name: reports[name].reason[: len(reason)] for name, reason in LEFT.items()} == LEFT


def check_mutants(first: int, count: int) -> dict[str, int]:
    """Archive mutants, and return how many became archives and how many were left for each reason."""
    originals, counts = mutated_jpegs(), dict[str, int]()
    for number in range(first, first + count):
        data = mutant("jpeg", 16, number, originals)
        try:
            report = archived(data, here=True)[1]
        except FormatError as error:  # nothing of the signature is left
            assert error.place == "signature" and not data.startswith(b"\xff\xd8\xff")
            continue
        reason = report.format if report.format == "jxl" else report.reason.partition(":")[0]
        counts[reason] = counts.get(reason, 0) + 1
    return counts


def test_mutants_are_made_again_exactly_or_left_as_they_were() -> None:
    counts = check_mutants(0, 200)

    assert (
        counts["jxl"] > 10 and counts["JPEG XL can't hold this JPEG"] > 30 and counts["its header can't be read"] > 30
    )


@pytest.mark.heavy
def test_five_thousand_mutants_are_made_again_exactly_or_left_as_they_were() -> None:
    counts = check_mutants(0, 5000)
    print(counts)

    assert counts["jxl"] > 300
    assert counts["the same JPEG could not be made again of its archive"] > 0  # the comparison is needed


@pytest.mark.parametrize("chunk", [1, 1000, 1 << 20])
def test_chunks_do_not_matter(chunk: int) -> None:
    data = PLAIN
    pieces = [data[at : at + chunk] for at in range(0, len(data), chunk)]

    made = b"".join(compressor.stream(pieces, Settings(archive=True)))

    assert made == archived(data)[0]
    again = compressor.unarchive_stream(made[at : at + chunk] for at in range(0, len(made), chunk))
    assert b"".join(again) == data


def test_the_report_of_a_jpeg_that_is_made_again() -> None:
    data, made = photo_archive()

    with pipeline.unarchive_stream(io.BytesIO(made)) as stream:
        assert (stream.source.format, stream.source.width, stream.source.height) == ("jxl", 160, 120)
        assert stream.source.channels == 3 and stream.source.reserved_bytes > len(data)
        assert b"".join(stream) == data
    report = stream.report
    assert pipeline.unarchive(made).data == data
    assert (report.source_format, report.format, report.path) == ("jxl", "jpeg", Path.LOSSLESS)
    assert (report.bytes_in, report.bytes_out) == (len(made), len(data))
    assert report.outcome is Outcome.LARGER and report.stage_seconds["decode"] > 0


@pytest.mark.parametrize("delivery", [None, Delivery.IMMEDIATE])
def test_an_archive_that_gives_back_other_bytes_is_not_delivered(
    monkeypatch: pytest.MonkeyPatch, delivery: Delivery | None
) -> None:
    """Not even if immediate delivery is asked for."""
    for change in (lambda data: data[:-1] + b"\xd8", lambda data: data + b"\0", lambda data: data[:-1]):
        monkeypatch.setattr(archive, "jpeg_of", lambda jxl, limit, change=change: memoryview(change(PLAIN)))

        found = pipeline.compress(PLAIN, archive=True, delivery=delivery)

        assert found.data == PLAIN and found.report.outcome is Outcome.UNCHANGED
        assert found.report.reason == "the same JPEG could not be made again of its archive"


def test_an_archive_from_which_the_library_can_make_nothing_is_not_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(jxl: bytes, limit: int) -> memoryview:
        raise archive.ArchiveError("no reason")

    monkeypatch.setattr(archive, "jpeg_of", fail)

    assert pipeline.compress(PLAIN, archive=True).data == PLAIN


def test_an_archive_must_be_smaller_by_what_is_asked_for() -> None:
    saved = archived(PLAIN)[1].saved

    assert archived(PLAIN, min_saving=saved - 0.01)[1].format == "jxl"
    assert "min_saving" in archived(PLAIN, min_saving=saved + 0.01)[1].reason


@pytest.mark.parametrize("data", [webp.files()[0].data, jxl.files()[0].data], ids=["WebP", "JPEG XL"])
def test_other_formats_are_returned(data: bytes) -> None:
    found = pipeline.compress(data, archive=True)

    assert (found.data, found.report.reason) == (data, "only a JPEG can be archived")


def test_samples_can_not_be_archived() -> None:
    for samples in (np.zeros((8, 8, 3), np.uint8), photo(8, 8)):
        with pytest.raises(SettingsError, match="archive: needs a file: only a JPEG can be archived"):
            pipeline.compress(samples, archive=True)
        with pytest.raises(SettingsError, match="must be a file"):
            pipeline.unarchive_stream(samples)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name, value",
    [
        ("quality", 80),
        ("target_score", 70),
        ("max_bytes", 1000),
        ("format", "png"),
        ("subsampling", "420"),
        ("metadata", "strip"),
        ("background", (1, 2, 3)),
    ],
)
def test_settings_that_would_change_the_jpeg_contradict(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=f"archive: contradicts {name}: every byte of the JPEG is kept"):
        Settings(archive=True, **{name: value})


def test_content_credentials_are_kept_in_an_archive_or_the_file_is_returned() -> None:
    data = next(data for name, data in odd_jpegs().items() if name == "planted jpeg-baseline")
    assert pipeline.inspect(data).format == "jpeg"

    assert archived(data)[1].format == "jxl"
    assert archived(data, content_credentials="unchanged")[1].reason == "has content credentials"


def test_an_archive_shows_what_its_source_shows() -> None:
    assert archived(PLAIN, score=True)[1].score == 100


def test_without_the_extra_both_are_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    for refused in (lambda: pipeline.compress(PLAIN, archive=True), lambda: pipeline.unarchive_stream(b"")):
        with pytest.raises(UnsupportedError) as caught:
            refused()
        assert str(caught.value) == "archive: needs pip install 'compressor[archive]'"
    assert pipeline.compress(PLAIN).report.outcome is Outcome.COMPRESSED


def test_the_jpeg_of_an_archive_has_as_much_room_as_was_charged() -> None:
    _, made = photo_archive()

    with pytest.raises(archive.ArchiveError, match="output buffer"):
        archive.jpeg_of(made, 100)
    with pytest.raises(archive.ArchiveError):
        archive.jxl_of(b"no JPEG")


@pytest.mark.parametrize("size", [(1, 1), (255, 257), (700, 300)])
def test_flat_jpegs_can_be_made_again_though_their_archives_are_tiny(size: tuple[int, int]) -> None:
    """The bytes of a JPEG are limited by those of its archive and by its pixels."""
    flat = io.BytesIO()
    photo(1, 1).resize(size).save(flat, "JPEG", quality=100, progressive=True, subsampling=0)

    assert archived(flat.getvalue())[1].format == "jxl"


def test_a_jpeg_xl_file_is_named_where_it_can_not_be_compressed() -> None:
    data = jxl.files()[0].data

    assert "`unarchive` makes the JPEG again if it was archived" in pipeline.compress(data).report.reason
    with pytest.raises(UnsupportedError, match="this format can't be read; `unarchive` makes"):
        pipeline.compress(data, format="png")


def test_what_is_charged_grows_with_pixels_and_bytes() -> None:
    small, large = (pipeline.inspect(jpeg(side, side), archive_settings()).reserved_bytes for side in (256, 512))

    assert library.LIBRARY_BYTES < small < large


def archive_settings() -> Settings:
    return Settings(archive=True)
