"""The FastAPI example, over HTTP in this process."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

import compressor
from examples import fastapi_upload
from tests.pipeline.test_pipeline import encoded, photograph

JPEG = encoded(photograph(80, 120), "JPEG", quality=95)
ARITHMETIC = JPEG.replace(b"\xff\xc0", b"\xff\xc9", 1)  # SOF9: arithmetic coding


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(fastapi_upload.app) as client:
        yield client


def test_an_upload_comes_back_smaller(client: TestClient) -> None:
    response = client.post("/images?quality=60", files={"image": ("photo.jpg", JPEG)})

    assert response.status_code == 200
    assert response.headers["content-type"] == "image/jpeg"
    assert response.content == compressor.compress(JPEG, quality=60).data
    assert int(response.headers["x-bytes-saved"]) == len(JPEG) - len(response.content) > 0


@pytest.mark.parametrize("body, status", [(JPEG[:900], 422), (b"%PDF-1.7" + bytes(99), 422), (ARITHMETIC, 415)])
def test_what_is_no_image_is_an_error_of_the_client(client: TestClient, body: bytes, status: int) -> None:
    response = client.post("/images", files={"image": ("photo.jpg", body)})

    assert response.status_code == status
    assert response.json()["detail"]


def test_a_quality_out_of_range_is_an_error_of_the_client(client: TestClient) -> None:
    assert client.post("/images?quality=101", files={"image": ("photo.jpg", JPEG)}).status_code == 422


def test_a_full_service_says_when_to_come_back(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    full = compressor.Resources(memory_budget=16 << 20, queue_limit=0, wait_seconds=20)
    monkeypatch.setattr(fastapi_upload, "RESOURCES", full)
    with full.reservation() as other:
        other.extend(full.most_bytes(other) or 0)
        response = client.post("/images", files={"image": ("photo.jpg", JPEG)})

    assert (response.status_code, response.headers["retry-after"]) == (503, "5")


def test_an_image_that_never_fits_is_too_large(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastapi_upload, "RESOURCES", compressor.Resources(memory_budget=1 << 10))

    assert client.post("/images", files={"image": ("photo.jpg", JPEG)}).status_code == 413
