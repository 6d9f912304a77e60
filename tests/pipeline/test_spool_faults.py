"""A disk that fails at any moment: the call fails for that reason, and is neither a broken image nor a wrong result."""

import errno
import io
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor import pipeline, spool
from compressor.errors import SpoolError
from compressor.memory import Resources
from compressor.settings import ContentCredentials, Effort, Format, Metadata, Settings

MOMENTS = 10  # of each operation


def file(format: str, **options: Any) -> bytes:
    y, x = np.mgrid[:72, :96]
    pixels = np.stack([128 + 100 * np.sin(x / (5 + c)) * np.cos(y / 9) + (x * y) % (7 + c) for c in range(3)], 2)
    sink = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(sink, format, **options)
    return sink.getvalue()


JPEG = file("JPEG", quality=95, comment=b"a comment")
CASES: dict[str, tuple[bytes, Settings]] = {
    "baseline": (JPEG, Settings()),
    "baseline, best": (JPEG, Settings(effort=Effort.BEST)),
    "baseline, lossless": (JPEG, Settings(lossless=True)),
    "baseline, to PNG": (JPEG, Settings(format=Format.PNG)),
    "baseline, auto": (JPEG, Settings(format=Format.AUTO)),
    "baseline, archive": (JPEG, Settings(archive=True)),
    "baseline, target": (JPEG, Settings(target_score=70)),
    "progressive": (file("JPEG", quality=95, progressive=True), Settings(score=True)),
    "PNG": (file("PNG", compress_level=1), Settings(effort=Effort.BEST, score=True)),
    "PNG, colors": (file("PNG"), Settings(png_colors=64, target_score=0)),
    "PNG, to WebP": (file("PNG"), Settings(format=Format.WEBP)),
    "WebP": (file("WEBP", quality=95, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"), Settings(metadata=Metadata.STRIP)),
    "WebP, lossless": (file("WEBP", lossless=True), Settings(lossless=True)),
    "GIF": (file("GIF"), Settings(content_credentials=ContentCredentials.DROP, metadata=Metadata.COLOR)),
    "GIF, unchanged": (file("GIF"), Settings(format=Format.KEEP, min_saving=0.9)),
    "BMP": (file("BMP"), Settings(format=Format.JPEG)),
    "TIFF": (file("TIFF"), Settings(format=Format.PNG)),
    "AVIF": (file("AVIF", quality=90), Settings(format=Format.JPEG, metadata=Metadata.COLOR)),
    "JPEG 2000": (file("JPEG2000"), Settings(format=Format.JPEG)),
}


@pytest.fixture(autouse=True)
def in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have spools of small images use files, too."""
    monkeypatch.setattr(spool, "SPOOL_MEMORY_BYTES", 16)
    monkeypatch.setattr(spool, "LENT_BYTES_MAX", 0)
    monkeypatch.setattr(spool, "FILE_BUFFER_BYTES", 512)


def counted(original: Callable[..., Any], calls: list[int], fails_at: int | None) -> Callable[..., Any]:
    """Return a function of the system that fails from its call number `fails_at` on."""

    def call(*arguments: Any) -> Any:
        calls[0] += 1
        if fails_at is not None and calls[0] > fails_at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return original(*arguments)

    return call


@pytest.mark.parametrize("operation", ["pwrite", "pread"])
@pytest.mark.parametrize("case", CASES)
def test_a_disk_that_fails_at_any_moment_is_not_a_broken_image(
    case: str, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, settings = CASES[case]
    original, calls = getattr(os, operation), [0]

    def compress(fails_at: int | None) -> bytes:
        calls[0] = 0
        monkeypatch.setattr(os, operation, counted(original, calls, fails_at))
        chunks = [data[at : at + 700] for at in range(0, len(data), 700)]
        resources = Resources(memory_budget=256 << 20, spool_budget=256 << 20)
        try:
            with pipeline.stream(chunks, settings, resources=resources) as job:
                return b"".join(job)
        finally:
            assert resources.spooled_bytes == resources.spool_directory.files == resources.reserved_bytes == 0

    expected, whole = compress(None), calls[0]
    failed = 0
    for moment in sorted({whole * step // MOMENTS for step in range(MOMENTS)}):
        try:
            assert compress(moment) == expected
        except SpoolError:
            failed += 1
    assert failed or not whole
