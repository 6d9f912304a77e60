"""The comparison of outputs: strict on words, and on numbers that every machine gets."""

import pytest

from tests import ROOT
from tests.docs.blocks import Block, commands_of
from tests.docs.expected import difference
from tests.docs.shell import problem_of_extras

PRINTED = "a.jpg → b.jpg\n  after  443 kB  JPEG, quality 80\n  took   0.10 s  41.6 MP/s\n"


@pytest.mark.parametrize(
    "actual, is_exact",
    [
        (PRINTED, True),
        ("a.jpg → b.jpg\n  after   443 kB   JPEG, quality 80   \n  took   12 s   1 MP/s\n", True),
        ("a.jpg → b.jpg\n  after  1.2 MB  JPEG, quality 7\n  took   0.10 s  41.6 MP/s\n", False),
    ],
)
def test_an_output_may_be_aligned_in_another_way_and_take_another_time(actual: str, is_exact: bool) -> None:
    assert difference(PRINTED, actual, is_exact) == ""


@pytest.mark.parametrize(
    "actual, is_exact",
    [
        (PRINTED.replace("443", "444"), True),
        (PRINTED.replace("quality", "score"), False),
        (PRINTED.replace("took", "used"), False),
        (PRINTED + "note  another line\n", False),
        (PRINTED.replace("a.jpg → b.jpg\n", ""), False),
        ("", False),
    ],
)
def test_another_word_line_or_size_is_a_difference(actual: str, is_exact: bool) -> None:
    assert "the page says" in difference(PRINTED, actual, is_exact)


def test_an_ellipsis_stands_for_any_text_or_any_lines() -> None:
    printed = '{"outcome": "compressed", …}\n…\nthe end\n'

    assert difference(printed, '{"outcome": "compressed", "a": 1}\nthe end\n', True) == ""
    assert difference(printed, '{"outcome": "compressed", "a": 1}\n1\n2\nthe end\n', True) == ""
    assert difference(printed, '{"outcome": "unchanged", "a": 1}\nthe end\n', True) != ""
    assert difference(printed, '{"outcome": "compressed", "a": 1}\nthe end\nand more\n', True) != ""


def test_dates_and_measured_values_may_differ() -> None:
    assert difference("finished  2026-11-30 19:01:51 UTC\n", "finished 2027-01-02 03:04:05 UTC\n", True) == ""
    assert difference("0.17 to 1.1 J\n", "0.2 to 3 J\n", True) == ""
    assert difference('"work_seconds": 0.1,\n', '"work_seconds": 9.6e-05,\n', True) == ""
    assert difference('"bytes_in": 10,\n', '"bytes_in": 11,\n', True) != ""


def test_a_console_is_a_list_of_commands_with_their_outputs() -> None:
    block = Block(ROOT / "README.md", 1, "console", "$ one \\\n    --option\nprinted\n\n$ two 'a\nb'\n$ three\n")

    assert [(command.text, command.printed) for command in commands_of(block)] == [
        ("one \\\n    --option", "printed\n\n"),
        ("two 'a\nb'", ""),
        ("three", ""),
    ]


def test_extras_that_are_installed_must_exist() -> None:
    assert problem_of_extras("pip install 'compressor[batch,tls]'") == ""
    assert problem_of_extras("pip install '.[http]'   # with a comment") == ""
    assert problem_of_extras("pip install .") == ""
    assert "no extra nothing" in problem_of_extras("pip install 'compressor[nothing]'")
    assert "not an installation" in problem_of_extras("pip install something")
