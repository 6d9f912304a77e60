"""The file of tenants and their tokens, without a server."""

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from compressor.cli.app import app
from compressor.client import Access, connect
from compressor.errors import SettingsError
from compressor.service.quotas import QuotaLimits
from compressor.service.tenants import Tenants, line_of, new_token, read_lines
from tests import ROOT

HASH = hashlib.sha256(b"secret").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


def read(folder: Path, text: str) -> list[Any]:
    (folder / "tokens").write_text(text)
    return [(line.name, line.limits) for line in read_lines(str(folder / "tokens"))]


def tenants_of(folder: Path, text: str) -> Tenants:
    (folder / "tokens").write_text(text)
    tenants = Tenants(str(folder / "tokens"))
    tenants.load()
    return tenants


@pytest.mark.parametrize(
    "limits, expected",
    [
        ("", QuotaLimits()),
        ("calls=10/s", QuotaLimits(calls=10.0)),
        ("calls=0.5/s", QuotaLimits(calls=0.5)),
        ("bytes=50MB/s", QuotaLimits(bytes=50_000_000)),
        ("memory=64MiB", QuotaLimits(memory=64 << 20)),
        ("memory=1GiB  calls=1/s\tbytes=64KiB/s", QuotaLimits(1.0, 64 << 10, 1 << 30)),
    ],
)
def test_a_line_has_a_name_a_hash_and_limits(tmp_path: Path, limits: str, expected: QuotaLimits) -> None:
    text = f"# tenants\n\n  shop-1.b_C   sha256:{HASH} {limits} # since May\n"

    assert read(tmp_path, text) == [("shop-1.b_C", expected)]


@pytest.mark.parametrize(
    "line, problem",
    [
        ("a-token-as-it-is", "line 2 is not NAME sha256:HASH, which `compressor token NAME` makes"),
        ("shop a-token-as-it-is", "line 2 is not NAME sha256:HASH"),
        (f"sha256:{HASH}", "line 2 is not NAME"),
        (f"shop {HASH}", "line 2 is not NAME"),
        (f"shop sha256:{HASH[:-1]}", "line 2 is not NAME"),
        (f"shop sha256:{HASH.upper()}", "line 2 is not NAME"),
        (f"sh/op sha256:{HASH}", "line 2 is not NAME"),
        (f"-shop sha256:{HASH}", "line 2 is not NAME"),
        (f"{'s' * 65} sha256:{HASH}", "line 2 is not NAME"),
        (f"shop sha256:{HASH} a-token-as-it-is", "line 2 has more than calls=N/s"),
        (f"shop sha256:{HASH} calls=1/s calls=1/s", "line 2 has more than"),
        (f"shop sha256:{HASH} calls=1", "line 2 has an invalid value of calls, must be such as calls=10/s"),
        (f"shop sha256:{HASH} calls=0/s", "invalid value of calls"),
        (f"shop sha256:{HASH} calls=nan/s", "invalid value of calls"),
        (f"shop sha256:{HASH} calls=inf/s", "invalid value of calls"),
        (f"shop sha256:{HASH} calls=-1/s", "invalid value of calls"),
        (f"shop sha256:{HASH} bytes=1KiB/s", "invalid value of bytes"),
        (f"shop sha256:{HASH} bytes=1MiB/m", "invalid value of bytes"),
        (f"shop sha256:{HASH} memory=0", "invalid value of memory"),
        (f"shop sha256:{HASH} memory={'9' * 400}", "invalid value of memory"),
        (f"shop sha256:{HASH} memory=", "invalid value of memory"),
        (f"shop sha256:{OTHER} calls=1/s", "the lines of shop have different limits"),
        (f"other sha256:{hashlib.sha256(b'first').hexdigest()}", "shop and other have the same token"),
    ],
)
def test_an_invalid_line_is_named_by_its_number_and_not_shown(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(problem)) as caught:
        read(tmp_path, f"{line_of('shop', 'first')}\n{line}\n")
    assert caught.value.field == "token_file"
    assert HASH[:8] not in str(caught.value) and "a-token-as-it-is" not in str(caught.value)


def test_the_file_in_the_documentation_is_valid(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "service.md").read_text()
    example = page.partition("### Tenants\n\n```\n")[2].partition("```")[0]
    limits = QuotaLimits(calls=10, bytes=50_000_000, memory=64 << 20)

    assert read(tmp_path, example) == [("shop", limits), ("shop", limits), ("reports", QuotaLimits())]


def test_a_file_has_from_one_to_a_thousand_tokens(tmp_path: Path) -> None:
    lines = [f"t{number} sha256:{number:064x}" for number in range(1001)]
    with pytest.raises(SettingsError, match="has 0 tokens"):
        read(tmp_path, "# nobody\n")
    assert len(read(tmp_path, "\n".join(lines[:1000]))) == 1000
    with pytest.raises(SettingsError, match="has 1001 tokens"):
        read(tmp_path, "\n".join(lines))


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1), st.text())
def test_a_token_identifies_its_tenant_and_no_other_text_does(tmp_path_factory: Any, token: str, other: str) -> None:
    tenants = tenants_of(tmp_path_factory.getbasetemp(), line_of("shop", token))

    for field in (f"Bearer {token}", f"bEARER {token}".encode()):
        found = tenants.identify([field])
        assert found is not None and found.name == "shop"
    assert tenants.identify([token]) is None or token.lower().startswith("bearer")
    if other.strip(" \t\r\n\x0b\x0c") != token:
        assert tenants.identify([f"Bearer {other}", other]) is None


def test_two_authorization_fields_are_compared_and_more_are_refused(tmp_path: Path) -> None:
    tenants = tenants_of(tmp_path, f"shop sha256:{HASH}\n")

    found = tenants.identify(iter(["Basic one", "Bearer secret"]))
    assert found is not None and found.name == "shop"
    assert tenants.identify(iter(["Basic one", "Basic two", "Bearer secret"])) is None


def test_a_tenant_keeps_what_it_has_used_when_the_file_is_read_again(tmp_path: Path) -> None:
    tenants = tenants_of(tmp_path, f"shop sha256:{HASH} memory=2MiB\ngone sha256:{OTHER}\n")
    shop = tenants.identify(["Bearer secret"])
    assert shop is not None and list(tenants.names) == ["shop", "gone"]
    shop.quota.reserve(1 << 20)

    (tmp_path / "tokens").write_text(f"shop sha256:{HASH} memory=8MiB\n")
    tenants.load()

    assert tenants.identify(["Bearer secret"]) is shop
    assert (shop.quota.reserved_bytes, shop.quota.limits) == (1 << 20, QuotaLimits(memory=8 << 20))
    assert tenants.identify(["Bearer other"]) is None and list(tenants.names) == ["shop"]


def test_an_invalid_file_leaves_everything_as_it_was(tmp_path: Path) -> None:
    tenants = tenants_of(tmp_path, f"shop sha256:{HASH} memory=2MiB\n")
    (tmp_path / "tokens").write_text(f"shop sha256:{HASH} memory=4MiB\nmore secret\n")

    with pytest.raises(SettingsError, match="line 2"):
        tenants.load()

    found = tenants.identify(["Bearer secret"])
    assert found is not None and found.quota.limits == QuotaLimits(memory=2 << 20)


def test_the_command_makes_a_token_and_the_line_of_its_hash(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["token", "shop"])
    assert ran.exit_code == 0
    token = ran.stderr.strip()
    tenants = tenants_of(tmp_path, ran.stdout)

    found = tenants.identify([f"Bearer {token}"])
    assert found is not None and found.name == "shop"
    assert token not in ran.stdout and len(token) == 43
    (tmp_path / "shop.token").write_text(ran.stderr)
    connect("127.0.0.1:1", Access(token_file=str(tmp_path / "shop.token"))).close()

    wrong = CliRunner().invoke(app, ["token", "sh op"])
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("compressor: NAME is 'sh op'")


def test_no_two_tokens_are_the_same() -> None:
    assert len({new_token() for _ in range(1000)}) == 1000


def test_nothing_shows_a_hash_or_a_token(tmp_path: Path) -> None:
    tenants = tenants_of(tmp_path, f"shop sha256:{HASH}\n")
    shown = io.StringIO()
    print(tenants, tenants.identify(["Bearer secret"]), tenants.names, file=shown)

    assert "secret" not in shown.getvalue() and HASH not in shown.getvalue()
