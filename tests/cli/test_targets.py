"""Names and formats of results, and what is refused before anything is written."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from compressor.settings import Format, Outcome
from tests.cli.fakes import FakePipeline, names, run

JPEG = b"\xff\xd8\xff" + bytes(997)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(992)
GIF = b"GIF89a" + bytes(994)


def write(*paths: str, content: bytes = JPEG) -> None:
    """Write files that begin like images, and their folders."""
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)


def tree(folder: str) -> list[str]:
    """Return the paths of all files below a folder."""
    return sorted(os.path.relpath(path, folder) for path in Path(folder).rglob("*") if not path.is_dir())


@pytest.mark.parametrize(
    "content, out, format",
    [
        (JPEG, "out.webp", Format.WEBP),
        (JPEG, "out.PNG", Format.PNG),
        (JPEG, "out.jpeg", Format.KEEP),
        (PNG, "out.jpg", Format.JPEG),
        (GIF, "out.gif", Format.KEEP),
        (JPEG, "out", Format.KEEP),
        (JPEG, "out.bak", Format.KEEP),
    ],
)
def test_the_suffix_of_the_output_decides_about_the_format(
    fake: FakePipeline, content: bytes, out: str, format: Format
) -> None:
    write("in.img", content=content)

    run("compress", "in.img", "-o", out, "-q")

    assert fake.streams[0].settings.format is format


@pytest.mark.parametrize(
    "out, words, problem",
    [
        ("out.webp", ["--format", "avif"], "out.webp and --format avif contradict each other"),
        ("out.gif", ["--format", "webp"], "contradict each other"),
        ("out.gif", [], "GIF can't be written; give OUT one of the suffixes .jpg, .png, .webp, .avif"),
        ("out.tif", [], "TIFF can't be written"),
    ],
)
def test_a_suffix_that_does_not_fit_the_format_is_refused(
    fake: FakePipeline, out: str, words: list[str], problem: str
) -> None:
    _, error = run("compress", "photo.jpg", "-o", out, *words, code=2)

    assert problem in error
    assert fake.streams == []


@pytest.mark.parametrize("words", [["--format", "auto"], ["--format", "WEBP"], ["--archive"]])
def test_formats_that_fit_or_are_chosen_later_are_no_conflict(fake: FakePipeline, words: list[str]) -> None:
    run("compress", "photo.jpg", "-o", "out.webp", "-q", *words)

    assert fake.streams[0].settings.format in (words[-1].lower(), "keep")


def test_results_are_named_by_folder_and_suffix(fake: FakePipeline) -> None:
    write("a/1.jpg", "b/2.png")

    run("compress", "a/1.jpg", "b/2.png", "--suffix", ".min")
    run("compress", "a/1.jpg", "b/2.png", "--output-dir", "new/folder")
    run("compress", "a/1.jpg", "b/2.png", "--output-dir", "small", "--suffix", "-small")
    run("compress", "a/1.jpg", "b/2.png", "-o", "other/")

    assert tree("a") == ["1.jpg", "1.min.jpg"]
    assert tree("b") == ["2.jpg", "2.min.jpg", "2.png"] or tree("b") == ["2.min.jpg", "2.png"]
    assert tree("new/folder") == tree("other") == ["1.jpg", "2.jpg"]
    assert tree("small") == ["1-small.jpg", "2-small.jpg"]


def test_the_structure_of_a_folder_is_kept(fake: FakePipeline) -> None:
    write("in/a.jpg", "in/x/a.jpg", "in/x/y/b.jpg")

    run("compress", "-r", "in", "--output-dir", "out")
    run("compress", "in", "-r", "--suffix", ".min")

    assert tree("out") == ["a.jpg", "x/a.jpg", "x/y/b.jpg"]
    assert [name for name in tree("in") if ".min" in name] == ["a.min.jpg", "x/a.min.jpg", "x/y/b.min.jpg"]


def test_what_is_no_image_is_left_out_and_counted(fake: FakePipeline) -> None:
    write("in/a.jpg", "in/.hidden.jpg", "in/.git/b.jpg", "in/old.compressed.jpg", "in/sub/c.jpg")
    write("in/notes.txt", "in/empty.jpg", content=b"")
    Path("in/link.jpg").symlink_to("a.jpg")
    Path("in/sub/loop").symlink_to("..")
    os.mkfifo("in/pipe.jpg")

    text, _ = run("compress", "-r", "in")

    assert [stream.settings.format for stream in fake.streams] == ["keep"] * 2
    assert "2 images: 2 smaller" in text
    left_out = text.split("left out")[1]
    for words in ("2 hidden", "2 linked", "2 not an image", "1 not a file", "1 from an earlier run"):
        assert words in left_out


def test_a_second_run_does_not_compress_the_results_of_the_first(fake: FakePipeline) -> None:
    write("in/a.jpg")

    run("compress", "-r", "in", "--output-dir", "in/small")
    run("compress", "-r", "in", "--output-dir", "in/small", "--force")

    assert tree("in") == ["a.jpg", "small/a.jpg"]


def test_a_file_that_is_named_is_taken_whatever_it_is(fake: FakePipeline) -> None:
    write(".hidden.jpg")
    Path("link.jpg").symlink_to("photo.jpg")

    run("compress", ".hidden.jpg", "link.jpg", "photo.jpg")

    assert len(fake.streams) == 2  # the link and its target are one file
    assert {".hidden.compressed.jpg", "link.compressed.jpg"} <= set(names())


def test_a_pipe_is_not_read_before_it_is_compressed(fake: FakePipeline) -> None:
    os.mkfifo("pipe")
    with ThreadPoolExecutor() as pool:
        pool.submit(Path("pipe").write_bytes, JPEG)
        run("compress", "pipe", "photo.jpg", "--output-dir", "out")

    assert Path("out/pipe.jpg").read_bytes() == JPEG[::2]


def test_names_that_are_no_text_are_shown_with_escapes(fake: FakePipeline) -> None:
    name = os.fsdecode(b"in/\xff[b]\x1b.jpg")
    write(name, "in/b.jpg")

    single, _ = run("compress", name, "-o", "new.jpg")
    several, _ = run("compress", "-r", "in", "--output-dir", "out")
    fake.changes["raises"] = RuntimeError("broken")
    _, error = run("compress", "-r", "in", "--output-dir", "other", code=1)

    assert "in/\\udcff[b]\\x1b.jpg → new.jpg" in single
    assert "in/\\udcff[b]\\x1b.jpg → out/\\udcff[b]\\x1b.jpg" in several
    assert "compressor: in/\\udcff[b]\\x1b.jpg: RuntimeError: broken" in error
    assert len(list(Path("out").iterdir())) == 2


def test_two_spellings_of_a_path_are_one(fake: FakePipeline) -> None:
    write("d/a.jpg", "x/b.jpg")
    write("d/a.png", content=PNG)

    _, error = run("compress", "d/a.jpg", "x/../d/a.png", "--format", "webp", code=2)
    run("compress", "d/a.jpg", "x/../d/a.jpg")

    assert "would both become" in error
    assert len(fake.streams) == 1


def test_a_folder_without_images_is_no_failure(fake: FakePipeline) -> None:
    Path("empty").mkdir()

    assert run("compress", "-r", "empty")[0].startswith("0 images")


@pytest.mark.parametrize(
    "words, problem",
    [
        ("folder", "folder is a folder: -r compresses the images in it; for large ones there is `compressor batch`"),
        ("photo.jpg folder", "folder is a folder: -r"),
        ("photo.jpg other.jpg -o out.jpg", "2 images can't go to out.jpg, which is one file; give --output-dir DIR"),
        ("photo.jpg other.jpg -o -", "2 images can't go to -, which is one file"),
        ("photo.jpg folder/photo.jpg --output-dir out", "photo.jpg and folder/photo.jpg would both become out/photo"),
        ("a.jpg a.png --format webp", "a.jpg and a.png would both become a.compressed.webp"),
        ("a.jpg a.png --format auto", "a.jpg and a.png might both become a.compressed."),
        ("a.jpg taken.jpg", "taken.compressed.jpg exists; --force overwrites it"),
        ("taken.jpg taken.compressed.jpg --force", "taken.compressed.jpg, the result of taken.jpg, is an input, too"),
        ("a.jpg other.jpg --suffix=", "a.jpg is the input, which is never modified"),
        ("photo.jpg --suffix a/b", "--suffix is 'a/b', must be part of a name"),
        ("photo.jpg --suffix .min -o out.jpg", "--suffix and -o contradict each other"),
        ("photo.jpg --suffix .min --in-place", "--suffix and --in-place contradict each other"),
        ("photo.jpg -o out.jpg --output-dir out", "-o and --output-dir contradict each other"),
        ("photo.jpg --in-place --output-dir out", "--output-dir and --in-place contradict each other"),
        ("photo.jpg --output-dir a.png", "a.png is a file; --output-dir takes a folder"),
        ("photo.jpg --keep-original", "--keep-original needs --in-place"),
        ("photo.jpg --in-place --format webp", "--in-place and --format contradict each other"),
        ("photo.jpg --in-place --archive", "--in-place and --archive contradict each other"),
        ("photo.jpg --in-place --png-colors 8", "--png-colors in place needs --quality"),
        ("- photo.jpg", "standard input is one image"),
        ("- --in-place", "an image from standard input has no name"),
        ("- --output-dir out", "an image from standard input has no name"),
        ("photo.jpg other.jpg --jobs 0", "--jobs is 0, must be from 1"),
        ("photo.jpg other.jpg --quality 200", "--quality is 200, must be a whole number from 1 to 100"),
        ("photo.jpg other.jpg --max-bytes foo", "'foo' is not a size"),
        ("photo.jpg other.jpg --memory-budget much", "'much' is not a size"),
    ],
)
def test_wrong_usage_has_code_2_and_nothing_is_written(fake: FakePipeline, words: str, problem: str) -> None:
    write("a.jpg", "other.jpg", "folder/photo.jpg", "taken.jpg", "taken.compressed.jpg")
    write("a.png", content=PNG)
    before = tree(".")

    _, error = run("compress", *words.split(), code=2)

    assert problem in error
    assert tree(".") == before
    assert fake.streams == []


def test_times_are_preserved_if_that_is_wanted(fake: FakePipeline) -> None:
    os.utime("photo.jpg", ns=(1_000_000_000, 2_000_000_123))

    run("compress", "photo.jpg", "-o", "new.jpg")
    run("compress", "photo.jpg", "-o", "old.jpg", "-p")

    assert Path("old.jpg").stat().st_mtime_ns == 2_000_000_123
    assert Path("new.jpg").stat().st_mtime_ns > 1e18


def test_a_dry_run_writes_nothing_and_says_what_it_would(fake: FakePipeline) -> None:
    write("in/a.jpg", "in/b.jpg")
    before = tree(".")

    text, _ = run("compress", "-r", "in", "--output-dir", "out", "--dry-run")
    single, _ = run("compress", "photo.jpg", "--dry-run")
    place, _ = run("compress", "photo.jpg", "--in-place", "--dry-run")

    assert tree(".") == before
    assert "in/a.jpg → out/a.jpg" in text and "2 images: 2 smaller; dry run, nothing was written" in text
    assert "photo.jpg → photo.compressed.jpg  dry run" in single
    assert "50.0%" in single and "photo.jpg  dry run" in place


def test_an_unreadable_folder_is_a_failure_and_the_others_are_compressed(
    fake: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("in/a.jpg", "in/shut/b.jpg")
    scan = os.scandir

    def scandir(path: str) -> object:
        if os.fspath(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)

    text, error = run("compress", "-r", "in", "--output-dir", "out", code=1)

    assert error == "compressor: in/shut: Permission denied\n"
    assert "1 image: 1 smaller" in text and tree("out") == ["a.jpg"]


def test_unchanged_images_are_copied_and_shown_with_the_reason(fake: FakePipeline) -> None:
    write("in/a.gif", content=GIF)
    fake.changes |= {"outcome": Outcome.UNCHANGED, "reason": "animated", "bytes_out": 1000, "format": "gif"}

    text, _ = run("compress", "-r", "in", "--output-dir", "out")

    assert "in/a.gif → out/a.gif  unchanged: animated" in text
    assert "1 image: 0 smaller, 1 not smaller" in text
