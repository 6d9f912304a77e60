"""Settings as keywords: their types are those of the fields, and a wrong name is answered with the right one."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, get_type_hints

import pytest

from compressor.choices import Format, SettingsFields
from compressor.errors import SettingsError
from compressor.settings import ENUMS, Effort, Settings, settings_of

# Fields that may be given in other types than those in which they are kept.
WIDER: dict[str, Any] = {"background": Sequence[int] | None, "accept": Sequence[str] | None}


def test_keywords_have_the_names_and_types_of_the_fields() -> None:
    expected: dict[str, Any] = {}
    for field in dataclasses.fields(Settings):
        kind: Any = field.type
        if field.name in ENUMS:
            values = tuple(member.value for member in ENUMS[field.name])
            kind = ENUMS[field.name] | Literal[values]
            kind = kind | None if field.default is None else kind
        expected[field.name] = WIDER.get(field.name, kind)

    assert get_type_hints(SettingsFields) == expected


@pytest.mark.parametrize(
    "name, nearest",
    [("qualty", "quality"), ("Quality", "quality"), ("formt", "format"), ("lossles", "lossless"), ("effrot", "effort")],
)
def test_a_misspelled_name_is_answered_with_the_nearest_one(name: str, nearest: str) -> None:
    keywords: dict[str, Any] = {name: 80}
    for settings in (None, Settings(quality=70)):
        with pytest.raises(SettingsError, match=f"^{name}: is no setting; did you mean {nearest}\\?$") as refused:
            settings_of(settings, keywords)
        assert refused.value.field == name
    with pytest.raises(SettingsError, match=f"did you mean {nearest}"):
        Settings(**keywords)


def test_a_name_like_no_other_is_answered_with_all_names() -> None:
    with pytest.raises(SettingsError, match="^xyz: is no setting; there are quality, .*, png_colors$"):
        Settings(xyz=1)  # type: ignore[call-arg]


def test_type_checkers_find_wrong_names_and_values() -> None:
    """They complain about each line: a comment without an error is one to them."""
    with pytest.raises(SettingsError):
        Settings(qualty=80)  # type: ignore[call-arg]
    with pytest.raises(SettingsError):
        Settings(quality="80")  # type: ignore[arg-type]
    with pytest.raises(SettingsError):
        Settings(effort="quick")  # type: ignore[arg-type]
    assert Settings(format="jpeg", effort=Effort.FAST, accept=None).format is Format.JPEG


def test_keywords_replace_fields_of_the_settings() -> None:
    settings = Settings(quality=70, effort="fast")

    assert settings_of(settings, {"quality": 80}) == Settings(quality=80, effort="fast")
    assert settings_of(settings, {}) is settings
    assert settings_of(None, {"format": "png"}) == Settings(format="png")
    with pytest.raises(SettingsError, match="^target_score: contradicts quality"):
        settings_of(settings, {"target_score": 80})


@pytest.mark.parametrize("given", [80, {"quality": 80}, "jpeg"])
def test_settings_of_another_type_are_an_error_that_says_how_to_give_them(given: Any) -> None:
    kind = type(given).__name__
    with pytest.raises(SettingsError, match=f"^settings: is of type {kind}, must be Settings: .* quality=80"):
        settings_of(given, {})
