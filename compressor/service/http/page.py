"""The page for people: its files, which load nothing from elsewhere."""

import functools
from collections.abc import Mapping
from importlib.resources import files

from compressor.service.http.exchange import Exchange, Handler, HeaderField

# Nothing is allowed but the page's own files, its requests to this server, and the pictures that it holds in memory.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: tuple[HeaderField, ...] = (
    ("content-security-policy", POLICY),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-cache"),
)
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
TOKEN_FIELD = '<div id="access" class="field" hidden>'  # shown if requests need a token


def page_handlers(*, needs_token: bool) -> Mapping[str, Mapping[str, Handler]]:
    """Return the handlers of the page's files, by path and method."""
    return {
        path: {"GET": functools.partial(_serve, content_type, _content(name, needs_token))}
        for path, (name, content_type) in FILES.items()
    }


def _content(name: str, needs_token: bool) -> bytes:
    text = files("compressor.service.http").joinpath("page", name).read_text(encoding="utf-8")
    return (text.replace(TOKEN_FIELD, TOKEN_FIELD.replace(" hidden", "")) if needs_token else text).encode()


async def _serve(content_type: str, content: bytes, exchange: Exchange) -> None:
    await exchange.respond(200, content_type, content, HEADERS)
