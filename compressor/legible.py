"""Sizes, times and other people's words in a form that people can read, on a terminal and on a page."""


def human_bytes(count: float) -> str:
    """Three digits and a decimal unit: 17 B, 3.42 MB."""
    if abs(count) < 1000:
        return f"{count:.0f} B"
    units = ["PB", "TB", "GB", "MB", "kB"]
    value = count / 1000
    while abs(value) >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop()
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f} {units[-1]}"


def human_seconds(seconds: float) -> str:
    """0.21 s, 12.3 s, 2 min 05 s, 3 h 04 min, 2 d 07 h."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, hours, days = int(seconds) // 60, int(seconds) // 3600, int(seconds) // 86400
    if hours == 0:
        return f"{minutes} min {int(seconds) % 60:02d} s"
    return f"{hours} h {minutes % 60:02d} min" if days == 0 else f"{days} d {hours % 24:02d} h"


def human_format(format: str) -> str:
    """A format as people write it."""
    return {"webp": "WebP", "jp2": "JPEG 2000"}.get(format, format.upper())


def printable(text: str) -> str:
    """The text on one line, with an escape for whatever does not show as itself: control characters, lone surrogates,
    marks that turn the direction of writing around."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)
