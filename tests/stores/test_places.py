"""Locations for originals, from --keep-originals and SRC."""

from pathlib import Path

import pytest

from compressor.errors import SettingsError
from compressor.stores.places import keep_place, normalize, relative_prefix


@pytest.mark.parametrize(
    "keep, source, expected",
    [
        ("originals/", "s3://photos/2024", "s3://photos/originals/"),
        ("originals", "s3://photos", "s3://photos/originals/"),
        ("/originals//", "s3://photos/2024/", "s3://photos/originals/"),
        ("2024/originals", "s3://photos/2024", "s3://photos/2024/originals/"),
        ("s3://photos/originals", "s3://photos/2024/01", "s3://photos/originals/"),
        ("s3://photos/photos/originals/", "s3://photos/2024", "s3://photos/photos/originals/"),
        ("az://box/kept", "az://box/in", "az://box/kept/"),
        ("kept", "gs://bucket/in", "gs://bucket/kept/"),
    ],
)
def test_in_a_bucket_the_location_is_a_prefix_of_the_bucket(keep: str, source: str, expected: str) -> None:
    assert keep_place(keep, source) == expected


def test_for_a_folder_the_location_is_any_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)

    for source in ("photos", str(tmp_path / "photos"), f"file://{tmp_path}/photos"):
        for keep in ("originals", "./originals/", str(tmp_path / "originals"), f"file://{tmp_path}/originals"):
            assert keep_place(keep, source) == str(tmp_path / "originals")
        assert keep_place("photos/kept", source) == str(tmp_path / "photos/kept")


@pytest.mark.parametrize(
    "keep, source",
    [
        ("", "s3://photos/2024"),
        ("/", "s3://photos/2024"),
        ("s3://photos", "s3://photos/2024"),
        ("s3://photos/", "s3://photos/2024"),
        ("s3://other/originals", "s3://photos/2024"),
        ("gs://photos/originals", "s3://photos/2024"),
        ("file:///originals", "s3://photos/2024"),
        ("photos/originals", "s3://photos/2024"),
        ("../originals", "s3://photos/2024"),
        ("a//b", "s3://photos/2024"),
        ("2024", "s3://photos/2024"),
        ("2024/", "s3://photos/2024/01"),
        ("", "photos"),
        (".", "photos"),
        ("photos", "photos"),
        ("/", "photos"),
        ("s3://photos/originals", "photos"),
    ],
)
def test_ambiguous_and_foreign_locations_are_refused(keep: str, source: str) -> None:
    with pytest.raises(SettingsError) as caught:
        keep_place(keep, source)
    assert caught.value.field == "keep_originals"


def test_equal_locations_have_one_canonical_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos/2024").mkdir(parents=True)
    (tmp_path / "link").symlink_to("photos")
    monkeypatch.chdir(tmp_path)

    assert normalize("link/2024") == normalize(f"file://{tmp_path}/photos/2024/") == str(tmp_path / "photos/2024")
    assert normalize("s3://b/a/") == normalize("s3://b/a") and normalize("s3://b/") == normalize("s3://b")
    assert relative_prefix("link/2024", "photos") == "2024/"
    assert relative_prefix("s3://b/a/c/", "s3://b/a") == "c/" and relative_prefix("s3://b/a", "s3://b/a/") == ""
    assert relative_prefix("s3://b/ab", "s3://b/a") is None and relative_prefix("photos", "photos/2024") is None
