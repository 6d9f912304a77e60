"""Valid and invalid settings, and the properties of reports."""

import dataclasses
import math
from typing import Any

import pytest

from compressor.errors import SettingsError
from compressor.settings import ENUMS, Delivery, Effort, Format, Outcome, Path, Report, Settings


def test_defaults_are_the_promised_ones() -> None:
    settings = Settings()

    assert (settings.effective_quality, settings.effort, settings.format) == (80, Effort.BALANCED, Format.KEEP)
    assert (settings.delivery, settings.lossless, settings.min_saving) == (None, False, 0.0)
    assert (settings.quality, settings.target_score, settings.max_bytes, settings.background) == (None,) * 4
    assert settings.score is False
    assert (settings.subsampling, settings.metadata) == ("auto", "keep")


@pytest.mark.parametrize("name", ENUMS)
def test_enums_may_be_given_as_values(name: str) -> None:
    for member in ENUMS[name]:
        as_value: dict[str, Any] = {name: member.value}
        as_member: dict[str, Any] = {name: member}
        assert getattr(Settings(**as_value), name) is member
        assert Settings(**as_value) == Settings(**as_member)


@pytest.mark.parametrize(
    "name, value",
    [
        *[("quality", value) for value in (0, 101, -1, True, "80", math.nan)],
        *[("target_score", value) for value in (-0.1, 100.1, math.nan, math.inf, "70", True)],
        *[("max_bytes", value) for value in (0, -1)],
        *[("min_saving", value) for value in (-0.01, 1, 1.5, math.nan, math.inf)],
        *[("background", value) for value in ((), (1, 2), (1, 2, 3, 4), (0, 0, 256), (-1, 0, 0), (0, "0", 0))],
        *[(name, value) for name in ENUMS for value in ("", "OTHER", "other", 1)],
        *[(name, None) for name in ENUMS if name != "delivery"],
    ],
)
def test_values_out_of_range_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings(**{name: value})

    assert refused.value.field == name
    assert str(refused.value).startswith(f"{name}: ") and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "name, value",
    [
        *[("quality", value) for value in (1, 50, 100, None)],
        *[("target_score", value) for value in (0, 0.5, 100, 100.0)],
        *[("max_bytes", value) for value in (1, 1 << 40)],
        *[("min_saving", value) for value in (0, 0.05, 0.999)],
        *[("background", value) for value in ((0, 0, 0), (255, 255, 255))],
        ("delivery", None),
    ],
)
def test_values_at_the_limits_are_accepted(name: str, value: Any) -> None:
    assert getattr(Settings(**{name: value}), name) == value


@pytest.mark.parametrize("other", [{"quality": 80}, {"lossless": True}])
def test_a_target_score_contradicts_quality_and_lossless(other: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=f"^target_score: contradicts {next(iter(other))}"):
        Settings(target_score=70, **other)


def test_a_search_is_always_safe_and_measured() -> None:
    for searched in (Settings(target_score=70), Settings(max_bytes=1000), Settings(max_bytes=1000, quality=90)):
        assert searched.is_search and searched.is_measured
        assert searched.delivery_of(raw=True) is Delivery.SAFE
    assert Settings(score=True).is_measured and not Settings(score=True).is_search
    assert Settings(score=True).delivery_of(raw=True) is Delivery.IMMEDIATE


def test_the_error_of_a_wrong_choice_lists_the_choices() -> None:
    with pytest.raises(SettingsError, match="is 'quick', must be one of fast, balanced, best"):
        Settings(effort="quick")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text, format",
    [("jpg", "jpeg"), ("JPEG", "jpeg"), (".jpg", "jpeg"), (" Jpe ", "jpeg"), ("WebP", "webp"), ("AUTO", "auto")],
)
def test_a_format_may_be_spelled_as_people_do(text: str, format: str) -> None:
    assert Settings(format=text).format == format  # type: ignore[arg-type]
    if format != "auto":
        assert Settings(format=Format.AUTO, accept=f"avif, {text}").accept == tuple(
            sorted({"avif", format}, key=["jpeg", "png", "webp", "avif"].index)
        )


@pytest.mark.parametrize("text", ["tif", "GIF", "jpegs", "", ".", "heic"])
def test_a_format_that_can_not_be_made_is_an_error(text: str) -> None:
    with pytest.raises(SettingsError, match="^format: is '.*', must be one of keep, jpeg, png, webp, avif, auto"):
        Settings(format=text)  # type: ignore[arg-type]


def test_a_background_becomes_a_tuple() -> None:
    settings = Settings(background=[1, 2, 3])

    assert settings.background == (1, 2, 3)
    assert hash(settings) == hash(Settings(background=(1, 2, 3)))


CHROME = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
SAFARI_13 = "image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5"


@pytest.mark.parametrize(
    "given, accepted",
    [
        (None, None),
        ("avif,jpeg", ("jpeg", "avif")),
        (["webp", Format.PNG, "webp"], ("png", "webp")),
        (" jpeg , png ", ("jpeg", "png")),
        (CHROME, ("jpeg", "png", "webp", "avif")),
        (SAFARI_13, ("jpeg", "png")),
        ("*/*", ("jpeg", "png")),
        ("image/jpg", ("jpeg",)),
        ("image/webp", ("webp",)),
        ("Image/WebP ; level=1 ; Q=0.5, text/html", ("webp",)),
        ("image/avif;q=0, image/webp, */*", ("jpeg", "png", "webp")),
        ("image/jpeg;q=0.0, image/*", ("png",)),
        ("image/*;q=0, */*, image/avif", ("avif",)),
        ("image/png, */*;q=0", ("png",)),
    ],
)
def test_accepted_formats_are_listed_or_come_from_an_accept_field(given: Any, accepted: Any) -> None:
    assert Settings(format=Format.AUTO, accept=given).accept == accepted


@pytest.mark.parametrize(
    "given, problem",
    [
        ("gif", "must be some of jpeg, png, webp, avif"),
        ("jpeg,auto", "must be some of"),
        (["jpeg", "keep"], "must be some of"),
        (7, "must be some of"),
        ([], "names none of"),
        ("", "must be some of"),
        ("text/html", "names none of"),
        ("image/*;q=0", "names none of"),
        ("image/png;q=2", "the weight '2'"),
        ("image/png;q=nan", "the weight 'nan'"),
        ("image/png," * 1000, "has 10000 characters"),
    ],
)
def test_what_accepts_no_known_format_is_an_error(given: Any, problem: str) -> None:
    with pytest.raises(SettingsError, match=f"^accept: .*{problem}"):
        Settings(format=Format.AUTO, accept=given)


def test_accepted_formats_need_the_format_auto() -> None:
    with pytest.raises(SettingsError, match="^accept: needs the format auto, not webp"):
        Settings(format=Format.WEBP, accept="webp")


def test_only_a_lossy_webp_or_avif_is_corrected_and_not_with_fast() -> None:
    corrected = {
        (format, effort)
        for format in Format
        for effort in Effort
        if Settings(format=format, effort=effort).is_corrected
    }
    assert corrected == {
        (f, e) for f in (Format.WEBP, Format.AVIF, Format.AUTO) for e in (Effort.BALANCED, Effort.BEST)
    }
    assert not Settings(format=Format.WEBP, lossless=True).is_corrected
    assert Settings(format=Format.AUTO, effort=Effort.FAST).delivery_of(raw=True) is Delivery.SAFE


def test_settings_can_not_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().quality = 1  # type: ignore[misc]


def test_digests_differ_where_settings_do() -> None:
    changed: list[dict[str, Any]] = [
        {}, {"quality": 79}, {"score": True}, {"target_score": 70.0}, {"max_bytes": 1000}, {"png_colors": 64},
        {"lossless": True}, {"effort": "fast"},
        {"format": "png"}, {"delivery": "safe"}, {"subsampling": "444"}, {"metadata": "strip"}, {"min_saving": 0.1},
        {"content_credentials": "unchanged"}, {"background": (0, 0, 0)}, {"format": "auto", "accept": "jpeg"},
        {"archive": True},
    ]  # fmt: skip
    assert {name for change in changed for name in change} == {field.name for field in dataclasses.fields(Settings)}
    digests = [Settings(**change).digest() for change in changed]

    assert len(set(digests)) == len(changed)
    assert all(len(digest) == 12 and int(digest, 16) >= 0 for digest in digests)


def test_digests_do_not_depend_on_how_a_choice_was_given() -> None:
    assert Settings(delivery="safe").digest() == Settings(delivery=Delivery.SAFE).digest()


def report(bytes_in: int, bytes_out: int, **more: Any) -> Report:
    return Report(
        outcome=Outcome.COMPRESSED, bytes_in=bytes_in, bytes_out=bytes_out, source_format="png", format="jpeg",
        width=1, height=1, path=Path.PIXELS, **more,
    )  # fmt: skip


@pytest.mark.parametrize("sizes, saved", [((100, 75), 0.25), ((100, 100), 0.0), ((100, 150), -0.5), ((0, 10), 0.0)])
def test_savings_are_a_share_of_the_input(sizes: tuple[int, int], saved: float) -> None:
    assert report(*sizes).saved == saved


def test_cpu_seconds_are_those_of_all_stages() -> None:
    assert report(1, 1).cpu_seconds == 0
    assert report(1, 1, stage_seconds={"decode": 0.5, "encode": 0.25}).cpu_seconds == 0.75


@pytest.mark.parametrize(
    "name, value",
    [
        ("quality", 80.5),
        ("quality", True),
        ("quality", "80"),
        ("max_bytes", "1KiB"),
        ("max_bytes", 0),
        ("min_saving", 1),
        ("min_saving", "5%"),
        ("background", 5),
        ("background", (1, 2)),
        ("background", (1, 2, 300)),
        ("target_score", float("nan")),
    ],
)
def test_a_value_of_the_wrong_kind_is_a_settings_error_that_names_the_field(name: str, value: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(**{name: value})

    assert caught.value.field == name
