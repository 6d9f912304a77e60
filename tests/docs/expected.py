"""Compare what a command prints with what a page says.

Words must be equal. `…` stands for any text, and alone on a line for any lines. Columns may be aligned differently.
Dates may differ, and so may times, speeds and energy (`LOOSE`). Other numbers, such as sizes and scores, must be equal
if the pictures are those of the pages, and may differ if others take their places.
"""

import re

NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?: (?P<unit>[kMGT]?B)\b)?")
ANY_NUMBER = r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"
# Of a line that begins with one of these, and of a number before one of these, every number may differ.
LOOSE = re.compile(r'^(?:(?:took|used|CPU|avoids)\b|compressor_(?:estimated|avoided)_|"(?:pid|\w+_seconds)")')
LOOSE_AFTER = re.compile(r"^(?: to [\d.,]+)? (?:n?s|ms|k?J|Wh|MP/s|[kM]?B/s|objects/s)\b")
DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:\.\d+)?)?")


def difference(printed: str, actual: str, is_exact: bool) -> str:
    """Return "" if an output is as a page says, else both, to be shown to the author.

    is_exact  sizes, scores and other reproducible numbers must be equal, too
    """
    if re.fullmatch(pattern(printed, is_exact), normalized(actual)):
        return ""
    return f"the page says\n{indented(printed)}\nbut this is printed\n{indented(actual)}"


def pattern(printed: str, is_exact: bool) -> str:
    """Return the regular expression that a normalized output must match in full."""
    lines = []
    for line in normalized(printed).splitlines():
        lines.append(r"(?:.*\n)*?" if line == "…" else line_pattern(line, is_exact) + r"\n")
    return "".join(lines)


def line_pattern(line: str, is_exact: bool) -> str:
    is_exact = is_exact and not LOOSE.match(line)
    return ".*?".join(words_pattern(words, is_exact) for words in line.split("…"))


def words_pattern(text: str, is_exact: bool) -> str:
    """Return the regular expression of words without `…`."""
    found, at = [], 0
    tokens = re.compile(f"(?P<date>{DATE.pattern})|{NUMBER.pattern}")
    for token in tokens.finditer(text):
        found.append(re.escape(text[at : token.start()]))
        if token["date"]:
            found.append(DATE.pattern)
        elif is_exact and not LOOSE_AFTER.match(text[token.end() :]):
            found.append(re.escape(token[0]))
        else:
            found.append(ANY_NUMBER + (" [kMGT]?B" if token["unit"] else ""))
        at = token.end()
    return "".join([*found, re.escape(text[at:])])


def normalized(output: str) -> str:
    """Return an output with single spaces, without empty lines, and with a line feed at its end."""
    lines = (re.sub(r"\s+", " ", line).strip() for line in output.splitlines())
    return "".join(f"{line}\n" for line in lines if line)


def indented(text: str) -> str:
    return "".join(f"    | {line}\n" for line in text.splitlines()) or "    | nothing\n"
