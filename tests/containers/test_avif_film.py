"""Removal of metadata from animated AVIF: frames, timing and repetitions are kept."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.settings import Metadata
from tests.containers.box_support import POLICIES, mutants, reduced, survives
from tests.planted import marks_in
from tests.planted.avif_film import files, film

FILM = film()
PLANTED = files()[0]


def played(data: bytes) -> list[tuple[np.ndarray, float, float]]:
    """Return pixels, start and duration in milliseconds of each frame."""
    with Image.open(io.BytesIO(data)) as image:
        frames = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            frames.append((np.asarray(image).copy(), image.info["timestamp"], image.info["duration"]))
    return frames


def edited(*changes: tuple[bytes, bytes]) -> bytes:
    data = FILM
    for old, new in changes:
        assert old in data
        data = data.replace(old, new)
    return data


@pytest.mark.parametrize("policy", POLICIES)
def test_only_marks_in_color_metadata_are_left(policy: Any) -> None:
    assert marks_in(PLANTED, PLANTED.data) == set(PLANTED.marks)

    result, _ = reduced(PLANTED.data, policy)

    assert marks_in(PLANTED, result) == (PLANTED.color if policy is Metadata.COLOR else set())


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("data", [film(), film("RGB"), PLANTED.data], ids=["alpha", "RGB", "planted"])
def test_frames_and_timing_are_kept_and_a_second_run_changes_nothing(data: Any, policy: Any) -> None:
    result, _ = reduced(data, policy)

    for (pixels, *times), (was, *times_were) in zip(played(result), played(data), strict=True):
        np.testing.assert_array_equal(pixels, was)
        assert times == times_were
    assert [frame[2] for frame in played(result)] == [100, 200, 50]
    assert len(result) <= len(data)
    assert reduced(result, policy)[0] == result


def test_repetitions_are_kept_and_dates_removed() -> None:
    result, notices = reduced(FILM, Metadata.STRIP)
    elst = FILM.index(b"elst")

    assert notices == []
    assert result.count(FILM[elst - 4 : elst + 32]) == 2
    for kind in (b"mvhd", b"tkhd", b"mdhd"):
        at = FILM.index(kind)
        assert FILM[at + 8 : at + 24] != bytes(16)
        at = result.index(kind)
        assert result[at + 8 : at + 24] == bytes(16)


def test_the_still_image_and_the_first_frame_share_their_data() -> None:
    result, _ = reduced(FILM, Metadata.STRIP)

    assert len(result.partition(b"mdat")[2]) == len(FILM.partition(b"mdat")[2])


def test_a_rotated_image_sequence_remains_rotated() -> None:
    matrix = FILM.index(b"tkhd") + 4 + 52  # of version 1
    assert FILM[matrix : matrix + 4] == b"\0\1\0\0"
    turned = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    result, _ = reduced(FILM[:matrix] + turned + FILM[matrix + 36 :], Metadata.STRIP)

    assert turned in result


def test_audio_is_removed_with_a_notice() -> None:
    result, notices = reduced(edited((b"auxv", b"soun")), Metadata.STRIP)

    assert result.count(b"trak") == 1
    assert notices == ["tracks other than images and their alpha were removed: 1"]


@pytest.mark.parametrize(
    "changes, error, problem",
    [
        ([(b"stco", b"zzzz")], UnsupportedError, "samples without stsz"),
        ([(b"url \0\0\0\1", b"url \0\0\0\0")], UnsupportedError, "samples in another file"),
        ([(b"mvhd", b"zzzz")], FormatError, "no movie header"),
        ([(b"trak", b"zzzz")], FormatError, "no image track"),
        ([(b"stsz" + bytes(11) + b"\3", b"stsz" + bytes(8) + b"\0\x10\0\0")], LimitError, "more than 65536 samples"),
        ([(b"stsz" + bytes(11) + b"\3", b"stsz" + bytes(11) + b"\2")], None, ""),
        ([(b"stsc" + bytes(7) + b"\1\0\0\0\1", b"stsc" + bytes(7) + b"\1\0\0\0\0")], FormatError, "out of order"),
    ],
)  # fmt: skip
def test_unsupported_files_are_rejected_with_a_reason(changes: Any, error: Any, problem: str) -> None:
    if error is None:
        assert len(played(reduced(edited(*changes), Metadata.STRIP)[0])) == 2
        return
    with pytest.raises(error, match=problem):
        reduced(edited(*changes), Metadata.STRIP)


def test_samples_outside_the_mdat_boxes_are_rejected() -> None:
    at = FILM.index(b"stco") + 12
    with pytest.raises(FormatError, match="data of a sample is outside the mdat boxes"):
        reduced(FILM[:at] + struct.pack(">I", 60) + FILM[at + 4 :], Metadata.STRIP)


def test_broken_files_end_in_an_error_or_a_result() -> None:
    for data in (FILM, PLANTED.data):
        for mutant in mutants(data, seed=len(data), count=600):
            assert survives(mutant)
