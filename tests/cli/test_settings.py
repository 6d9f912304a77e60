"""Options, environment and configuration file, and mistakes in them."""

from pathlib import Path

import pytest

from compressor.cli.options import configuration, share, size
from compressor.errors import BusyError
from compressor.settings import Format, Settings
from tests.cli.fakes import FakePipeline, names, run


def test_every_setting_reaches_the_pipeline(fake: FakePipeline) -> None:
    words = (
        "--quality 70 --max-bytes 20KiB --score --lossless --effort best --format auto "
        "--delivery immediate --subsampling 444 --metadata strip --content-credentials unchanged "
        "--min-saving 5% --background 1,2,3"
    )
    run("compress", "photo.jpg", *words.split())

    assert fake.streams[0].settings == Settings(
        quality=70,
        max_bytes=20480,
        score=True,
        lossless=True,
        effort="best",
        format="auto",
        delivery="immediate",
        subsampling="444",
        metadata="strip",
        content_credentials="unchanged",
        min_saving=0.05,
        background=(1, 2, 3),
    )


@pytest.mark.parametrize(
    "words, environment, file",
    [
        ("--target-score 80.5 --max-bytes 20KiB --score --png-colors 64", {}, ""),
        (
            "--png-colors 64",
            {"COMPRESSOR_TARGET_SCORE": "80.5", "COMPRESSOR_MAX_BYTES": "20KiB", "COMPRESSOR_SCORE": "true"},
            "",
        ),
        (
            "--target-score 80.5 --score",
            {"COMPRESSOR_PNG_COLORS": "64", "COMPRESSOR_CONFIG": "c.toml"},
            'max_bytes = "20KiB"\npng_colors = 16',
        ),
        (
            "",
            {"COMPRESSOR_CONFIG": "c.toml"},
            'target_score = 80.5\nmax_bytes = "20KiB"\nscore = true\npng_colors = 64',
        ),
    ],
)
def test_a_target_score_comes_from_options_the_environment_or_a_file(
    fake: FakePipeline, words: str, environment: dict[str, str], file: str
) -> None:
    Path("c.toml").write_text(file)

    run("compress", "photo.jpg", *words.split(), env=environment)

    assert fake.streams[0].settings == Settings(target_score=80.5, max_bytes=20480, score=True, png_colors=64)


@pytest.mark.parametrize("text", ["webp", "WebP", ".webp"])
def test_a_format_may_be_spelled_as_people_do(fake: FakePipeline, text: str) -> None:
    Path("c.toml").write_text(f'format = "{text}"')

    run("compress", "photo.jpg", "--format", text, "-o", "1")
    run("compress", "photo.jpg", "-o", "2", env={"COMPRESSOR_FORMAT": text})
    run("--config", "c.toml", "compress", "photo.jpg", "-o", "3")

    assert [stream.settings.format for stream in fake.streams] == [Format.WEBP] * 3


def test_defaults_are_those_of_the_settings(fake: FakePipeline) -> None:
    run("compress", "photo.jpg")

    assert fake.streams[0].settings == Settings()


def test_the_command_line_overrides_the_environment_and_that_the_file(fake: FakePipeline) -> None:
    Path("c.toml").write_text(
        'quality = 10\nmin_saving = "7%"\nmax-bytes = "1MiB"\nbackground = [9, 8, 7]\neffort = "fast"\n'
    )
    environment = {"COMPRESSOR_CONFIG": "c.toml", "COMPRESSOR_QUALITY": "20", "COMPRESSOR_MIN_SAVING": "0.08"}

    run("compress", "photo.jpg", "--quality", "30", env=environment)

    assert fake.streams[0].settings == Settings(
        quality=30,
        min_saving=0.08,
        max_bytes=1 << 20,
        background=(9, 8, 7),
        effort="fast",
    )


@pytest.mark.parametrize(
    "text, problem",
    [
        ("qality = 3", "qality is not an option"),
        ("quality = ", "Invalid value (at end of document)"),
        ("[quality]\nx = 1", "quality is a table, must be a value"),
    ],
)
def test_mistakes_in_the_file_are_named(fake: FakePipeline, text: str, problem: str) -> None:
    Path("c.toml").write_text(text)

    _, error = run("--config", "c.toml", "compress", "photo.jpg", code=2)

    assert error.startswith("compressor: c.toml: ")
    assert problem in error


@pytest.mark.parametrize(
    "words, problem",
    [
        ("--quality 101", "compressor: --quality is 101, must be a whole number from 1 to 100\n"),
        ("--background 1,2", "compressor: --background is '1,2', must be red, green and blue such as 255,255,255\n"),
        ("--quality 80 --target-score 70", "--target-score contradicts quality: give one of them"),
        ("--lossless --target-score 70", "--target-score contradicts lossless: give one of them"),
        ("--target-score 101", "--target-score is 101.0, must be from 0 to 100"),
        ("--max-bytes 3q", "'3q' is not a size"),
        ("--min-saving x%", "'x%' is not a share"),
        ("--effort hard", "'hard'"),
        ("--format tiff", "'tiff' is not one of keep, jpeg, png, webp, avif, auto"),
        ("--qality 3", "--qality"),
        ("--json -o -", "--json and the image can't both go to standard output"),
    ],
)
def test_usage_errors_have_code_2_and_touch_nothing(fake: FakePipeline, words: str, problem: str) -> None:
    _, error = run("compress", "photo.jpg", *words.split(), code=2)

    assert problem in error
    assert names() == ["photo.jpg"]


def test_missing_input_is_one_line_and_code_1(fake: FakePipeline) -> None:
    assert run("compress", "nope.jpg", code=1)[1] == "compressor: nope.jpg: No such file or directory\n"


def test_errors_of_several_lines_are_printed_in_one(fake: FakePipeline) -> None:
    fake.changes["raises"] = RuntimeError("first\nsecond")

    _, error = run("compress", "photo.jpg", code=1)

    assert error == "compressor: photo.jpg: RuntimeError: first second (COMPRESSOR_DEBUG=1 shows where)\n"
    assert "Traceback" in run("compress", "photo.jpg", code=1, env={"COMPRESSOR_DEBUG": "1"})[1]


def test_busy_is_a_failure(fake: FakePipeline) -> None:
    fake.changes["raises"] = BusyError("no room", 1.5)

    assert run("compress", "photo.jpg", code=1)[1] == "compressor: photo.jpg: no room\n"


@pytest.mark.parametrize(
    "text, count", [("1", 1), (7, 7), ("64KiB", 65536), ("1.5 MiB", 1572864), ("2gib", 2 << 30), ("3MB", 3_000_000)]
)
def test_sizes_take_units(text: str | int, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text, value", [("0.05", 0.05), ("5%", 0.05), ("7 %", 0.07), (0.25, 0.25), ("0", 0.0)])
def test_shares_take_percent(text: str | float, value: float) -> None:
    assert share(text) == value


def test_a_repeatable_option_is_a_list_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('include = ["*.jpg", "*.png"]\nledger = "a.ledger"\nbackground = [1, 2, 3]\n')
    options = {"batch": {"include", "ledger"}, "exporter": {"ledger"}, "compress": {"background"}}
    repeatable = {"batch": {"include"}, "exporter": {"ledger"}, "compress": set[str]()}

    assert configuration(tmp_path / "c.toml", options, repeatable) == {
        "batch": {"include": ["*.jpg", "*.png"], "ledger": "a.ledger"},
        "exporter": {"ledger": ["a.ledger"]},
        "compress": {"background": "1,2,3"},
    }
