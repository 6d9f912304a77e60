"""Python of the pages. Blocks of a page share their names, as the cells of a notebook do."""

import contextlib
import io
import re
import traceback
from typing import Any

from tests.docs.expected import difference

COMMENT = re.compile(r"^\s*print\(.*\)  # (.+)$", re.MULTILINE)


def run_python(source: str, names: dict[str, Any], is_exact: bool) -> str:
    """Run a block; return what is wrong with it, "" if nothing.

    A comment after a `print` is what it prints, with ", " between the lines if it prints several.
    """
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(source, "block", "exec"), names)
    except Exception:
        return traceback.format_exc(limit=-2)
    expected = ", ".join(COMMENT.findall(source))
    return difference(expected, ", ".join(printed.getvalue().splitlines()), is_exact) if expected else ""
