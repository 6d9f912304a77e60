"""The rules of language in CONTRIBUTING.md that a program can check.

Each test fails with the list of all offenders, as `file:line: text`.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT
from tests.project.test_layers import files_of, listed, parsed, text_of

# Documented nodes, and first words of docstrings that neither say what a function does nor name a thing.
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
BAD_BEGINNING = re.compile(r"(?:What|Where|Whether|Of|Those)\b|The same\b")

# Phrases that are never right here, whatever the sentence. Each word may be on the next line, or part of a name.
PHRASES = (
    "a look before",
    "as it comes",
    "as they come",
    "as they ever were",
    "asked share",
    "at equal look",
    "be had",
    "behind the image",
    "by what comes out",
    "come back as they are",
    "comes back as it is",
    "do not stand",
    "does not stand",
    "for a second look",
    "from there on",
    "how far it came",
    "in so many words",
    "in the mean",
    "is not there yet",
    "led through",
    "made anew",
    "nobody knows",
    "of ours",
    "of their coming",
    "of which nobody",
    "says nothing of",
    "stand as they are",
    "stand at the",
    "stand beside",
    "stands at the",
    "stands before",
    "stands behind",
    "stands beside",
    "tried in vain",
    "what comes of",
    "what comes out",
    "what is known of",
    "what is there",
    "what is told",
    "what it is told",
    "what of a",
    "what of it",
    "whose turn",
)
SPACE = r"(?:[ _]|\s*\n[\s#*/]*)"  # between two words: also the start of a line of a comment
PHRASE = re.compile(
    rf"(?<![a-z0-9])(?:{'|'.join(map(re.escape, PHRASES))})(?![a-z0-9])".replace(r"\ ", SPACE), re.IGNORECASE
)

CODE = ("compressor", "benchmarks", "tests", "examples", "scripts")
OTHER_FOLDERS = ("docs", "proto", "deploy", "examples")
OTHER_SUFFIXES = {".md", ".proto", ".toml", ".yml", ".yaml", ".json", ".sh", ".js", ".html"}


def python_files(*folders: str) -> dict[Path, str]:
    """Return the text of Python files by path, except third parties' and this file, which has examples."""
    paths = (path for path in files_of(*folders) if "node_modules" not in path.parts)
    return {path: text_of(path) for path in paths if ROOT / path != Path(__file__).resolve()}


def other_files() -> dict[Path, str]:
    """Return the text of documents, the proto, deployment files and the files that build the project, by path."""
    paths = [ROOT / "Makefile", ROOT / "Dockerfile", ROOT / "pyproject.toml", *sorted(ROOT.glob("*.md"))]
    for folder in OTHER_FOLDERS:
        paths += [path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in OTHER_SUFFIXES]
    relative = (path.relative_to(ROOT) for path in paths if "node_modules" not in path.parts)
    return {path: text_of(path) for path in relative if path.name != "package-lock.json"}


# --- names ------------------------------------------------------------------------------------------------------------


def statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements of a module, with those in its `if` and `try` statements."""
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        node = pending.pop(0)
        yield node
        if isinstance(node, ast.If):
            pending += [*node.body, *node.orelse]
        elif isinstance(node, ast.Try):
            pending += [*node.body, *node.orelse, *node.finalbody]
            pending += [statement for handler in node.handlers for statement in handler.body]


def is_type(value: ast.expr) -> bool:
    """Return whether an expression reads as a type: a name, `X[...]`, or a union of such."""
    if isinstance(value, ast.BinOp):
        return isinstance(value.op, ast.BitOr) and is_type(value.left) and is_type(value.right)
    if isinstance(value, ast.Subscript):
        return is_type(value.value)
    return isinstance(value, ast.Name | ast.Attribute) or (isinstance(value, ast.Constant) and value.value is None)


def public_types(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and name of each public class and type alias at the top level of a module.

    An alias is an assignment of a type to a name in CapWords, or to any name that is annotated as TypeAlias.
    """
    for node in statements(parsed(source)):
        name = ""
        if isinstance(node, ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.Assign) and is_type(node.value):
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id[0].isupper() and not target.id.isupper():
                name = target.id
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id if ast.unparse(node.annotation).endswith("TypeAlias") else ""
        if name and not name.startswith("_"):
            yield node.lineno, name


def public_functions(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and name of each public function at the top level of a module; methods do not count.

    Definitions of one name in one module (in both branches of an `if`, or `overload`s) count once.
    """
    seen = set()
    for node in statements(parsed(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            if node.name not in seen:
                yield node.lineno, node.name
            seen.add(node.name)


def types_defined_twice(files: dict[Path, str]) -> list[str]:
    found = defaultdict(list)
    for path, text in files.items():
        for line, name in public_types(text):
            found[name].append(f"{path}:{line}: {name}")
    return [place for _, places in sorted(found.items()) if len(places) > 1 for place in places]


def functions_defined_twice(files: dict[Path, str]) -> list[str]:
    """Return the public functions that another file of the folder defines too."""
    found = defaultdict(list)
    for path, text in files.items():
        for line, name in public_functions(text):
            found[path.parent, name].append(f"{path}:{line}: {name}")
    return [place for _, places in sorted(found.items()) if len(places) > 1 for place in places]


def test_no_public_class_or_type_alias_is_defined_twice() -> None:
    found = types_defined_twice(python_files("compressor"))

    assert not found, listed(found)


def test_no_public_function_is_defined_twice_in_a_folder() -> None:
    found = functions_defined_twice(python_files("compressor"))

    assert not found, listed(found)


@pytest.mark.parametrize(
    "definition",
    [
        "class Place:\n    pass",
        "Place = tuple[int, str]",
        "Place = Literal['a', 'b']",
        "Place = typing.Annotated[str, option('place')]",
        "Place = Other",
        "Place = int | None",
        "Place: TypeAlias = 'int'",
        "if TYPE_CHECKING:\n    Place = Other",
        "try:\n    import a\nexcept ImportError:\n    class Place: ...",
    ],
)
def test_a_type_that_is_defined_twice_is_found(definition: str) -> None:
    files = {Path("a/one.py"): "class Place:\n    pass", Path("b/two.py"): definition}

    assert [place.split(":")[0] for place in types_defined_twice(files)] == ["a/one.py", "b/two.py"]


@pytest.mark.parametrize(
    "definition",
    [
        "class _Place:\n    pass",
        "PLACE = tuple",
        "place = Other",
        "Place = TypeVar('Place')",
        "Place = 3",
        "def f():\n    Place = Other",
        "class Other:\n    class Place: ...",
        "from a.one import Place",
    ],
)
def test_other_definitions_are_no_second_type(definition: str) -> None:
    files = {Path("a/one.py"): "class Place:\n    pass", Path("b/two.py"): definition}

    assert types_defined_twice(files) == []


def test_a_function_that_is_defined_twice_in_a_folder_is_found() -> None:
    files = {
        Path("a/one.py"): "def read(): ...\nclass A:\n    def write(self): ...",
        Path("a/two.py"): "async def read(): ...\ndef _write(): ...",
        Path("a/three.py"): "if A:\n    def write(): ...\nelse:\n    def write(): ...",
        Path("b/four.py"): "def read(): ...",
    }

    assert functions_defined_twice(files) == ["a/one.py:1: read", "a/two.py:1: read"]


# --- docstrings -------------------------------------------------------------------------------------------------------


def badly_begun(path: Path, source: str) -> list[str]:
    """Return the docstrings that begin with neither a verb in the imperative nor a noun, by BAD_BEGINNING."""
    found = []
    for node in ast.walk(parsed(source)):
        if not isinstance(node, Documented):
            continue
        text = ast.get_docstring(node)
        if text is not None and BAD_BEGINNING.match(text):
            found.append(f"{path}:{node.body[0].lineno}: {text.splitlines()[0]}")
    return found


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    found = [line for path, text in python_files(*CODE).items() for line in badly_begun(path, text)]

    assert not found, listed(found)


@pytest.mark.parametrize("text", ["What it is.", "Whether so.", "Of all, one.", "Those of a.", "The same, again."])
@pytest.mark.parametrize("node", ["", "class A:\n    ", "def f():\n    ", "class A:\n    async def f():\n        "])
def test_a_bad_beginning_is_found(text: str, node: str) -> None:
    line = 1 + node.count("\n")

    assert badly_begun(Path("a.py"), f'{node}"""{text}"""') == [f"a.py:{line}: {text}"]


@pytest.mark.parametrize("text", ["Whatever.", "Offsets of a.", "The samples.", "Return what it is.", "Off by one."])
def test_a_good_beginning_is_not_found(text: str) -> None:
    assert badly_begun(Path("a.py"), f'"""{text}"""') == []


# --- phrases ----------------------------------------------------------------------------------------------------------


def phrases(path: Path, text: str) -> list[str]:
    """Return the lines on which one of PHRASES begins."""
    lines = text.splitlines()
    numbers = (text.count("\n", 0, match.start()) for match in PHRASE.finditer(text))
    return [f"{path}:{number + 1}: {lines[number].strip()}" for number in dict.fromkeys(numbers)]


def test_no_phrase_has_to_be_read_twice() -> None:
    files = python_files(*CODE) | other_files()
    found = [line for path, text in files.items() for line in phrases(path, text)]

    assert len(files) > 300
    assert not found, listed(found)


@pytest.mark.parametrize(
    "text, line",
    [
        ("Smaller at equal look.", 1),
        ("a = 1\n# It was tried in\n    # vain.", 2),
        ("Smaller\nat equal\nlook.", 2),
        ("def test_what_does_not_stand_is_refused(): ...", 1),
        ("In the mean, 3 %.", 1),
    ],
)
def test_a_phrase_is_found(text: str, line: int) -> None:
    assert phrases(Path("a.py"), text) == [f"a.py:{line}: {text.splitlines()[line - 1].strip()}"]


@pytest.mark.parametrize("text", ["in the meantime", "a behead", "of oursels", "in_vain", "no\n\ntold: in\n\n\nvain"])
def test_similar_words_are_no_phrase(text: str) -> None:
    assert phrases(Path("a.py"), text) == []
