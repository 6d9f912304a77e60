"""The choice between complete results and the source."""

from collections.abc import Iterator

import pytest

from compressor.pipeline.candidates import LOSSY_AGAIN_MAX, Candidate, Terms, choose
from compressor.pipeline.routes import Route
from compressor.settings import Path, Settings, Source

SOURCE_BYTES = 1000


class StubRoute(Route):
    """A route that is never started."""

    height = 1

    def __init__(self, format: str = "jpeg", path: Path = Path.COEFFICIENTS) -> None:
        self.format, self.path = format, path

    @property
    def notices(self) -> list[str]:
        raise AssertionError("not asked for in a choice")

    def body(self) -> Iterator[bytes | memoryview]:
        raise AssertionError("not started")


class StubFile:
    """A file of which only the size is known."""

    def __init__(self, size: int) -> None:
        self.size = size

    def read(self, start: int, count: int) -> bytes:
        raise AssertionError("not read in a choice")

    def chunks(self) -> Iterator[bytes]:
        raise AssertionError("not read in a choice")


def candidate(size: int, format: str = "jpeg", path: Path = Path.COEFFICIENTS) -> Candidate:
    return Candidate(StubRoute(format, path), StubFile(size))


def no_objection(candidate: Candidate) -> str:
    return ""


def always_right(candidate: Candidate) -> bool:
    return True


# --- choose -----------------------------------------------------------------------------------------------------------


def test_the_smallest_candidate_is_chosen() -> None:
    candidates = [candidate(30), candidate(10), candidate(20)]

    assert choose(candidates, no_objection, always_right) == (candidates[1], "")


def test_of_candidates_of_one_size_the_one_planned_first_is_chosen() -> None:
    candidates = [candidate(20), candidate(10), candidate(10)]

    chosen, reason = choose(candidates, no_objection, always_right)

    assert chosen is candidates[1] and reason == ""


def test_candidates_of_one_size_are_tried_in_the_order_of_their_plans() -> None:
    candidates = [candidate(10), candidate(5), candidate(10)]
    tried: list[Candidate] = []

    def objection_to(candidate: Candidate) -> str:
        tried.append(candidate)
        return "no"

    choose(candidates, objection_to, always_right)

    assert [id(each) for each in tried] == [id(candidates[index]) for index in (1, 0, 2)]


def test_an_objection_passes_the_choice_to_the_next_candidate() -> None:
    small, large = candidate(10), candidate(20)
    verified: list[int] = []

    def verify(candidate: Candidate) -> bool:
        verified.append(candidate.file.size)
        return True

    chosen, reason = choose([large, small], lambda each: "too small" if each is small else "", verify)

    assert chosen is large and reason == ""
    assert verified == [20]  # verification takes time: never of a candidate that is rejected anyway


def test_a_failed_verification_passes_the_choice_to_the_next_candidate() -> None:
    small, large = candidate(10), candidate(20)

    chosen, reason = choose([large, small], no_objection, lambda each: each is large)

    assert chosen is large and reason == ""


def test_no_candidate_after_the_chosen_one_is_examined() -> None:
    examined: list[int] = []

    def objection_to(candidate: Candidate) -> str:
        examined.append(candidate.file.size)
        return ""

    choose([candidate(30), candidate(10), candidate(20)], objection_to, always_right)

    assert examined == [10]


def test_without_a_choice_the_reason_is_that_of_the_first_candidate_tried() -> None:
    reasons = {10: "first", 20: "second"}
    candidates = [candidate(20), candidate(10)]

    assert choose(candidates, lambda each: reasons[each.file.size], always_right) == (None, "first")


def test_a_defect_of_the_first_candidate_is_the_reason_even_if_others_are_objected_to() -> None:
    candidates = [candidate(10), candidate(20)]

    found = choose(candidates, lambda each: "" if each.file.size == 10 else "no", lambda each: False)

    assert found == (None, Route.defect)


def test_an_objection_to_the_first_candidate_comes_before_a_defect_of_the_second() -> None:
    candidates = [candidate(10), candidate(20)]

    found = choose(candidates, lambda each: "no" if each.file.size == 10 else "", lambda each: False)

    assert found == (None, "no")


def test_no_candidates_give_no_choice_and_no_reason() -> None:
    assert choose([], no_objection, always_right) == (None, "")


# --- Terms ------------------------------------------------------------------------------------------------------------


class Terming:
    """Terms for a source of SOURCE_BYTES, which count how often the size of the reduced source is asked for."""

    def __init__(self, reduced: float = SOURCE_BYTES, format: str = "jpeg", settings: Settings | None = None) -> None:
        self.asked = 0
        self._reduced = reduced
        source = Source(format=format, description="", width=1, height=1, channels=3)
        self._terms = Terms(source, SOURCE_BYTES, self._reduced_bytes, settings or Settings())

    def _reduced_bytes(self) -> float:
        self.asked += 1
        return self._reduced

    def objection_to(self, candidate: Candidate) -> str:
        return self._terms.objection_to(candidate)


@pytest.mark.parametrize("size", [SOURCE_BYTES, SOURCE_BYTES + 1])
def test_a_result_that_is_not_smaller_than_the_source_is_objected_to(size: int) -> None:
    terms = Terming()

    assert terms.objection_to(candidate(size)) == "not smaller"
    assert terms.asked == 0


def test_a_result_that_is_smaller_by_a_byte_is_accepted() -> None:
    terms = Terming()

    assert terms.objection_to(candidate(SOURCE_BYTES - 1)) == ""
    assert terms.asked == 1


@pytest.mark.parametrize("size, objection", [(901, "901 bytes would save less than min_saving"), (900, "")])
def test_a_result_has_to_save_the_minimum(size: int, objection: str) -> None:
    terms = Terming(settings=Settings(min_saving=0.1))

    assert terms.objection_to(candidate(size)) == objection
    assert terms.asked == (0 if objection else 1)


@pytest.mark.parametrize("size, objection", [(700, "not smaller"), (701, "not smaller"), (699, "")])
def test_a_result_has_to_be_smaller_than_the_source_without_the_removed_metadata(size: int, objection: str) -> None:
    terms = Terming(reduced=700)

    assert terms.objection_to(candidate(size)) == objection
    assert terms.asked == 1


def test_a_source_that_can_not_be_reduced_sets_no_limit() -> None:
    assert Terming(reduced=float("inf")).objection_to(candidate(SOURCE_BYTES - 1)) == ""


@pytest.mark.parametrize("reduced", [SOURCE_BYTES, 800])
def test_another_lossy_encoding_has_to_save_a_quarter(reduced: int) -> None:
    """A quarter of the source without the removed metadata."""
    limit = int(reduced * LOSSY_AGAIN_MAX)
    for size, objection in ((limit + 1, "another lossy encoding would save less than a quarter"), (limit, "")):
        assert Terming(reduced, "webp").objection_to(candidate(size, "webp", Path.PIXELS)) == objection


@pytest.mark.parametrize(
    "source, target, path, lossless",
    [
        ("webp", "avif", Path.PIXELS, False),
        ("webp", "webp", Path.PIXELS, True),
        ("jpeg", "jpeg", Path.COEFFICIENTS, False),
        ("jpeg", "jpeg", Path.LOSSLESS, False),
    ],
)
def test_other_results_need_not_save_a_quarter(source: str, target: str, path: Path, lossless: bool) -> None:
    terms = Terming(format=source, settings=Settings(lossless=lossless))

    assert terms.objection_to(candidate(SOURCE_BYTES - 1, target, path)) == ""
