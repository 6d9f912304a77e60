"""The page in a real browser, at the width of a desk and of a phone."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from compressor.service.tenants import line_of
from tests.service.conftest import Service, png
from tests.service.fake_pipeline import fake_codec, file_of
from tests.service.http.browser import Browser
from tests.service.http.raw_peer import RawPeer
from tests.service.running import Running

DONE = "!document.getElementById('result').hidden && document.getElementById('status').textContent === ''"
PHONE = (390, 844)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as running:
        yield running


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "holiday.jpg"
    Image.open(io.BytesIO(png(900, 600))).save(path, quality=95)
    return path


def opened(browser: Browser, server: Running, width: int = 1280, height: int = 800) -> str:
    """Open the page of a server, and return its address."""
    browser.problems.clear()
    browser.requests.clear()
    browser.size(width, height, mobile=width < 500)
    address = f"http://127.0.0.1:{server.server.http_port}/"
    browser.open(address)
    return address


def text_of(browser: Browser, name: str) -> str:
    return str(browser.value(f"document.getElementById('{name}').textContent"))


def box_of(browser: Browser, name: str) -> Any:
    return browser.value(f"document.getElementById('{name}').getBoundingClientRect().toJSON()")


@pytest.mark.parametrize("width, height", [(1280, 800), PHONE])
def test_a_picture_is_compressed_and_shown_before_and_after(
    browser: Browser, real_http: Service, photo: Path, width: int, height: int
) -> None:
    address = opened(browser, real_http, width, height)
    browser.choose_file("#file", photo)
    browser.wait(DONE)

    assert text_of(browser, "source") == "JPEG, 900 × 600"
    assert 0 < float(text_of(browser, "saved").split()[0]) < 100
    assert 0 < float(text_of(browser, "score-out")) < 100
    assert text_of(browser, "energy").split()[1] in ("J", "mJ")
    assert browser.value("document.getElementById('download').download") == "holiday.compressed.jpg"
    assert browser.value("document.getElementById('after').naturalWidth") == 900
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert box_of(browser, "stage")["right"] <= width and box_of(browser, "settings")["right"] <= width
    assert browser.problems == []
    assert [one for one in browser.requests if not one.startswith((address, f"blob:{address}"))] == []


def test_the_slider_divides_the_picture(browser: Browser, real_http: Service, photo: Path) -> None:
    opened(browser, real_http)
    browser.choose_file("#file", photo)
    browser.wait(DONE)
    stage = box_of(browser, "stage")
    y = stage["y"] + stage["height"] / 2
    for share in (0.25, 0.75):
        browser.mouse("mousePressed", stage["x"] + share * stage["width"], y)
        browser.mouse("mouseReleased", stage["x"] + share * stage["width"], y)
        clipped = browser.value("document.getElementById('before').style.clipPath")
        right = float(clipped.removeprefix("inset(0px ").split("%")[0])
        assert right == pytest.approx(100 * (1 - share), abs=4)


def test_a_changed_setting_compresses_the_picture_again(browser: Browser, real_http: Service, photo: Path) -> None:
    opened(browser, real_http)
    browser.choose_file("#file", photo)
    browser.wait(DONE)
    before = text_of(browser, "bytes-out")
    browser.value(
        "const format = document.getElementById('format'); format.value = 'webp';"
        "format.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    browser.wait("document.getElementById('format-out').textContent === 'WEBP'")
    browser.wait(DONE)

    assert text_of(browser, "bytes-out") != before
    assert any("format=webp" in one for one in browser.requests)


def test_a_dropped_file_is_compressed(browser: Browser, real_http: Service) -> None:
    opened(browser, real_http)
    browser.value(
        """(async () => {
          const canvas = new OffscreenCanvas(64, 48);
          canvas.getContext('2d').fillRect(8, 8, 20, 20);
          const dropped = new DataTransfer();
          dropped.items.add(new File([await canvas.convertToBlob()], 'drawn.png'));
          document.getElementById('drop').dispatchEvent(new DragEvent('drop', {dataTransfer: dropped, bubbles: true}));
        })()"""
    )
    browser.wait(DONE)

    assert text_of(browser, "source") == "PNG, 64 × 48"


def test_a_broken_file_is_explained(browser: Browser, real_http: Service, tmp_path: Path) -> None:
    opened(browser, real_http)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xc0\x00\x03" + bytes(96))
    browser.choose_file("#file", broken)
    browser.wait("!document.getElementById('problem').hidden")

    assert text_of(browser, "problem").startswith("JPEG: SOF0 at byte 2")
    assert browser.value("document.getElementById('result').hidden")


@pytest.mark.parametrize(
    "response, text",
    [
        ("Promise.reject(new TypeError('Failed to fetch'))", "The connection to the server was lost."),
        ("Promise.resolve(new Response('bytes'))", "The response has no report."),
        ("Promise.resolve(new Response('x', {headers: {'Compressor-Report': btoa('{}')}}))", "Cannot read properties"),
    ],
)
def test_what_went_wrong_is_told_apart(
    browser: Browser, real_http: Service, photo: Path, response: str, text: str
) -> None:
    opened(browser, real_http)
    browser.value(f"window.fetch = () => {response}; 0")
    browser.choose_file("#file", photo)
    browser.wait("!document.getElementById('problem').hidden")

    assert text_of(browser, "problem").startswith(text)


def test_the_page_asks_for_a_token_where_one_is_needed(browser: Browser, tmp_path: Path) -> None:
    tokens, image = tmp_path / "tokens", tmp_path / "image.bin"
    tokens.write_text(line_of("shop", "secret") + "\n")
    image.write_bytes(file_of(700))
    with Running(fake_codec(), http_address="127.0.0.1:0", http_page=True, token_file=str(tokens)) as server:
        opened(browser, server)
        assert not browser.value("document.getElementById('access').hidden")
        browser.choose_file("#file", image)
        browser.wait("!document.getElementById('problem').hidden")
        assert "Bearer TOKEN" in text_of(browser, "problem")


def test_the_policy_allows_nothing_from_elsewhere(peer: RawPeer) -> None:
    for path in ("/", "/page.js", "/page.css", "/icon.svg"):
        answer = peer.request(path, method="GET")
        policy = dict(part.split(" ", 1) for part in answer.fields["content-security-policy"].split("; "))

        assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'" == policy["style-src"]
        assert not {"'unsafe-inline'", "'unsafe-eval'", "*"} & {word for one in policy.values() for word in one.split()}
        assert b"http://www.w3.org/2000/svg" in answer.body or b"http" not in answer.body


def test_the_policy_blocks_a_script_in_the_page(browser: Browser, real_http: Service) -> None:
    """Without this, a policy that is not applied would go unnoticed."""
    opened(browser, real_http)
    browser.value(
        "const tag = document.createElement('script'); tag.textContent = 'window.ran = 1'; document.body.append(tag)"
    )

    assert browser.value("window.ran") is None
    assert any("Content Security Policy" in problem for problem in browser.problems)
