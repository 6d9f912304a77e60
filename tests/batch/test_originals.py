"""Kept originals: no other run touches them, whatever its options are."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from obstore.store import MemoryStore
from typer.testing import CliRunner, Result

from compressor.batch import api
from compressor.batch.originals import marked_above, refuse_kept, remove_marker, source_in, write_marker
from compressor.batch.plan import Manifest
from compressor.cli.app import app
from compressor.errors import SettingsError
from compressor.stores import open as opening
from compressor.stores import s3_client
from compressor.stores.contract import Entry, Store, StoreError, StoreErrorKind
from compressor.stores.files import Files
from compressor.stores.markers import MARKER, MarkedFolders
from compressor.stores.obstores import ObstoreBucket
from compressor.stores.open import open_store
from tests.batch.support import Inline, jpeg
from tests.stores.s3_servers import Server, moto_server
from tests.stores.store_contract import NO_ATTRIBUTES, BytesBody, keys, read

FILES = {"2024/a.jpg": jpeg(1), "2024/ b.jpg": jpeg(2), "2024/sub/c.jpg": jpeg(3), "2025/d.jpg": jpeg(4)}
ODD = ("\x01", " a", "!a", "#", "(1)/x", "-", ".DS_Store", ".a/b", "0", "a", "é")  # before and after the marker
Place = Callable[[str], str]
Contents = Callable[[], dict[str, bytes]]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Yield an S3 server, and reuse one connection to it: setting one up takes longer than a test."""
    with moto_server() as running, pytest.MonkeyPatch.context() as patch:
        connection = s3_client.connect()
        patch.setattr(s3_client, "connect", lambda: connection)
        yield running


@pytest.fixture(params=["folder", "s3", "obstore"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a function that returns URLs below a root, which is empty at first."""
    if request.param == "folder":
        (tmp_path / "root").mkdir()
        return lambda below: str(tmp_path / "root" / below)
    if request.param == "s3":
        server: Server = request.getfixturevalue("server")
        name = server.bucket()
        return lambda below: f"s3://{name}/{below}"
    memory = MemoryStore()

    def opened(url: str, conditional_bytes: int = 64 << 20, probed: bool = False) -> Store:
        assert url.startswith("az://container")
        return ObstoreBucket.over(memory, url, conditional_bytes)

    for module in ("stores.open", "batch.originals", "batch.api", "batch.work"):
        monkeypatch.setattr(f"compressor.{module}.open_store", opened)
    return lambda below: f"az://container/{below}"


@pytest.fixture
def root(place: Place) -> Store:
    """Return a store with FILES, opened as runs do it."""
    store = opening.open_store(place(""))
    for key, data in FILES.items():
        store.write(key, BytesBody(data), NO_ATTRIBUTES, None)
    return store


@pytest.fixture
def contents(place: Place) -> Contents:
    """Return a function that returns all objects, including those that listings leave out."""

    def read_all() -> dict[str, bytes]:
        store = opening.open_store(place(""))
        if isinstance(store, Files):
            root = Path(place(""))
            found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
            return {key: path.read_bytes() for key, path in found.items()}
        return {entry.key: read(store, entry.key) for entry in store._listed()}  # type: ignore[attr-defined]

    return read_all


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a separate folder for ledgers, with workers in this process."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(api, "engine_for", lambda request, server: Inline(request.job))


def batch(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["batch", *arguments, "--json"])


def in_place(source: str, keep: str | None, *more: str, quality: int = 60) -> Result:
    kept = ["--discard-originals"] if keep is None else ["--keep-originals", keep]
    return batch(source, "--in-place", *kept, "--quality", str(quality), *more)


def below(found: dict[str, bytes], prefix: str) -> dict[str, bytes]:
    return {key.removeprefix(prefix): data for key, data in found.items() if key.startswith(prefix)}


def test_originals_are_kept_in_the_given_place_and_no_later_run_touches_them(
    root: Store, place: Place, contents: Contents
) -> None:
    found = in_place(place("2024"), place("kept"))

    assert found.exit_code == 0, found.stderr
    assert json.loads(found.stdout)["keep"].rstrip("/") == place("kept")
    kept = below(contents(), "kept/")
    text = kept.pop(MARKER).decode()
    assert kept == below(FILES, "2024/")
    assert "originals" in text and json.dumps(place("2024")) in text

    before = below(contents(), "kept/")
    for quality, more in ((50, ()), (40, ("--overwrite",))):
        found = in_place(place(""), None, *more, "--ledger", f"l{quality}", quality=quality)
        assert found.exit_code == 0, found.stderr
        summary = json.loads(found.stdout)
        assert summary["objects"] == len(FILES)
        assert any("kept/" in notice for notice in summary["notices"])
        assert below(contents(), "kept/") == before
    assert all(data != FILES[key] for key, data in contents().items() if key in FILES)


def test_a_dry_run_leaves_kept_originals_out_too(root: Store, place: Place, contents: Contents) -> None:
    assert in_place(place("2024"), place("kept")).exit_code == 0
    before = contents()

    summary = json.loads(batch(place(""), "--dry-run").stdout)

    assert summary["projection"]["objects"] == len(FILES)
    assert any("kept/" in notice for notice in summary["notices"])
    assert contents() == before


@pytest.mark.parametrize("inside", ["kept", "kept/sub"])
def test_a_run_from_or_into_kept_originals_is_refused(
    inside: str, root: Store, place: Place, contents: Contents
) -> None:
    assert in_place(place("2024"), place("kept")).exit_code == 0
    before = contents()

    for found in (
        in_place(place(inside), None),
        in_place(place("2025"), place("kept/others")),
        in_place(place("2025"), place("kept")),
        batch(place(inside), place("copy")),
        batch(place("2025"), place(inside)),
        batch(place(inside), "--dry-run"),
    ):
        assert found.exit_code == 2, found.stdout
        assert "kept" in found.stderr.splitlines()[-1]
    assert contents() == before


def test_the_same_source_may_keep_more_originals_in_the_same_place(
    root: Store, place: Place, contents: Contents
) -> None:
    assert in_place(place("2024"), place("kept")).exit_code == 0
    root.write("2024/new.jpg", BytesBody(jpeg(9)), NO_ATTRIBUTES, None)

    found = in_place(place("2024"), place("kept"))

    assert found.exit_code == 0, found.stderr
    assert below(contents(), "kept/")["new.jpg"] == jpeg(9)


def test_a_place_with_other_objects_is_refused_for_originals(root: Store, place: Place, contents: Contents) -> None:
    for more in ((), ("--dry-run",)):
        found = in_place(place("2024"), place("2025"), *more)
        assert found.exit_code == 2 and "--keep-originals" in found.stderr
    assert contents() == FILES
    assert list(Path().iterdir()) == []  # no ledger either: it would permanently name this place


def test_an_object_that_would_be_copied_among_kept_originals_is_skipped(
    root: Store, place: Place, contents: Contents
) -> None:
    assert in_place(place("2025"), place("copy/sub")).exit_code == 0
    before = below(contents(), "copy/sub/")

    found = batch(place("2024"), place("copy"), "--overwrite")

    assert found.exit_code == 0, found.stderr
    skipped = [total for total in json.loads(found.stdout)["totals"] if total["outcome"] == "skipped"]
    assert [(total["reason"], total["objects"]) for total in skipped] == [("held", 1)]
    assert below(contents(), "copy/sub/") == before


def test_kept_originals_in_a_manifest_are_left_out(
    root: Store, place: Place, contents: Contents, tmp_path: Path
) -> None:
    assert in_place(place("2024"), place("kept")).exit_code == 0
    rows = [*FILES, *(f"kept/{key.removeprefix('2024/')}" for key in FILES), f"kept/{MARKER}"]
    (tmp_path / "list.csv").write_text("key\n" + "".join(f"{key}\n" for key in reversed(rows)))

    listing = Manifest(str(tmp_path / "list.csv"), "", opening.open_store(place("")))

    assert sorted(entry.key for _, entry in listing.entries()) == sorted(FILES)
    assert len(listing.left_out) == 1 and "kept/" in listing.left_out[0]
    before = below(contents(), "kept/")
    assert in_place(place(""), None, "--manifest", str(tmp_path / "list.csv"), quality=40).exit_code == 0
    assert below(contents(), "kept/") == before


def test_originals_are_restored_from_where_they_are_kept(root: Store, place: Place, contents: Contents) -> None:
    assert in_place(place("2024"), place("kept"), "--ledger", "l").exit_code == 0

    assert CliRunner().invoke(app, ["ledger", "restore", "l"]).exit_code == 0

    assert contents() == FILES  # the marker was deleted, too


def test_a_marker_is_deleted_only_when_nothing_else_is_kept(root: Store, place: Place, contents: Contents) -> None:
    assert in_place(place("2024"), place("kept")).exit_code == 0
    before = contents()

    remove_marker(opening.open_store(place("kept")))

    assert contents() == before


@pytest.mark.parametrize("name", ODD)
def test_a_marker_is_found_whatever_comes_before_it_in_the_listing(name: str, place: Place) -> None:
    store = opening.open_store(place(""))
    covered = ("a/kept/" + name, "a/kept/z", "a/kept/" + MARKER)
    others = ("a/" + name, "a/kept", "a/kept.jpg", "a/kept /x", "a/kept0", "b/" + name)
    written = []
    for key in (*covered, *others):
        try:
            store.write(key, BytesBody(b"x"), NO_ATTRIBUTES, None)
            written.append(key)
        except StoreError as error:  # a control character, or a file and a folder of the same name
            assert error.kind in (
                StoreErrorKind.IMPOSSIBLE,
                StoreErrorKind.EXISTS,
                StoreErrorKind.MISSING,
                StoreErrorKind.OTHER,
            )

    assert keys(store) == sorted(key for key in written if key in others)
    assert len(store.left_out) == 1 and "a/kept/" in store.left_out[0]
    marks = MarkedFolders(store)
    assert [key for key in written if not marks.cover(key)] == [key for key in written if key in others]


def test_a_listing_requests_no_marker_that_its_order_rules_out(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    name = server.bucket()
    for number in range(30):
        server.client.put_object(Bucket=name, Key=f"{number % 10}/sub/{number}.jpg", Body=b"")
    server.client.put_object(Bucket=name, Key="3/ first.jpg", Body=b"")
    store = open_store(f"s3://{name}")
    requested = []
    head = store.head

    def recording_head(key: str) -> Entry | None:
        requested.append(key)
        return head(key)

    monkeypatch.setattr(store, "head", recording_head)

    assert len(keys(store)) == 31
    assert requested == [f"3/{MARKER}"]


def test_a_marked_place_is_reserved_for_its_source_before_anything_is_kept(root: Store, place: Place) -> None:
    write_marker(place("kept"), place("2024"))
    write_marker(place("kept"), place("2024/"))
    refuse_kept(place("2024"), place("2024"), place("kept"))

    assert source_in(opening.open_store(place("kept"))) == place("2024")
    assert marked_above(place("kept/a/b"), {}) == place("kept") and marked_above(place("keptother"), {}) is None
    with pytest.raises(SettingsError, match="2024"):
        refuse_kept(place("2025"), place("2025"), place("kept"))


def test_a_new_folder_for_originals_is_accessible_to_its_owner_only(tmp_path: Path) -> None:
    write_marker(str(tmp_path / "of/originals"), str(tmp_path / "in"))
    assert (tmp_path / "of/originals").stat().st_mode & 0o777 == 0o700

    (tmp_path / "mine").mkdir(mode=0o755)
    write_marker(str(tmp_path / "mine"), str(tmp_path / "in"))
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o755


def test_a_marker_without_a_source_matches_no_source(root: Store, place: Place) -> None:
    store = opening.open_store(place("kept"))
    for text in (b"", b"Source: not JSON\n", b"\xff" * 100, b"x" * (1 << 17)):
        store.write(MARKER, BytesBody(text), NO_ATTRIBUTES, None)
        assert source_in(store) == ""
        with pytest.raises(SettingsError, match="another source"):
            refuse_kept(place("2024"), place("2024"), place("kept"))


def test_a_marker_counts_as_missing_if_access_is_denied_or_its_key_is_impossible(
    root: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(key: str) -> None:
        raise StoreError(kinds.pop(), key)

    kinds = [StoreErrorKind.UNAVAILABLE, StoreErrorKind.IMPOSSIBLE, StoreErrorKind.DENIED]
    monkeypatch.setattr(root, "head", refuse)
    assert not MarkedFolders(root).cover("a/b") and not MarkedFolders(root).cover("a/b")
    with pytest.raises(StoreError):
        MarkedFolders(root).cover("a/b")
