"""The Django example, with a folder of its own."""

from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile

import compressor
from examples.django_storage import SETTINGS, CompressedStorage
from tests.pipeline.test_pipeline import encoded, photograph

JPEG = encoded(photograph(80, 120), "JPEG", quality=95)


@pytest.fixture(scope="module", autouse=True)
def configured() -> None:
    if not settings.configured:
        settings.configure()


@pytest.fixture
def storage(tmp_path: Path) -> CompressedStorage:
    return CompressedStorage(location=tmp_path, base_url="/media/")


def test_an_image_is_stored_smaller_under_its_name(storage: CompressedStorage, tmp_path: Path) -> None:
    upload = SimpleUploadedFile("photo.jpg", JPEG, "image/jpeg")
    upload.read()  # as a form does that has validated it

    name = storage.save("photos/photo.jpg", upload)

    stored = (tmp_path / "photos" / "photo.jpg").read_bytes()
    assert (name, storage.url(name)) == ("photos/photo.jpg", "/media/photos/photo.jpg")
    assert stored == compressor.compress(JPEG, SETTINGS).data
    assert len(stored) < len(JPEG)


@pytest.mark.parametrize("data", [b"%PDF-1.7" + bytes(99), JPEG[:900], encoded(photograph(30, 40), "BMP"), b""])
def test_other_files_are_stored_unchanged(data: bytes, storage: CompressedStorage) -> None:
    """A BMP would become a JPEG, which does not fit its name."""
    name = storage.save("file", ContentFile(data))

    with storage.open(name) as stored:
        assert stored.read() == data


def test_a_name_that_is_taken_gets_another_one(storage: CompressedStorage) -> None:
    names = [storage.save("photo.jpg", ContentFile(JPEG)) for _ in range(2)]

    assert names[0] == "photo.jpg" != names[1]
    assert storage.size(names[0]) == storage.size(names[1])
