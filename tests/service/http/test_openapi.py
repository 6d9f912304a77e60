"""The description of the door agrees with OpenAPI, with the settings and with what is sent."""

import dataclasses
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from compressor.service.http.openapi import document
from compressor.service.http.parameters import PARAMETERS
from compressor.service.http.problem import STATUSES, TITLES
from compressor.settings import ENUMS, Settings
from tests.service.conftest import png
from tests.service.http.raw_peer import RawPeer


def check(value: Any, name: str) -> None:
    """Check a value against a schema of the document."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


def test_the_document_is_served_and_valid(peer: RawPeer) -> None:
    answer = peer.request("/v1/openapi.json", method="GET")

    assert answer.json == document()
    OpenAPIV31SpecValidator(answer.json).validate()


def test_every_setting_is_a_parameter() -> None:
    names = {field.name for field in dataclasses.fields(Settings)}
    described = document()["paths"]["/v1/compress"]["post"]["parameters"]

    assert set(PARAMETERS) == names
    assert {one["name"] for one in described} == names | {"report", "Compressor-Timeout"}
    for name, kind in ENUMS.items():
        assert PARAMETERS[name].schema["enum"] == [value.value for value in kind]


def test_every_status_has_a_title_and_is_described() -> None:
    described = document()["paths"]["/v1/compress"]["post"]["responses"]

    assert set(STATUSES.values()) <= set(TITLES)
    assert {int(status) for status in described} == {200, *TITLES} - {404, 405}


@pytest.mark.parametrize(
    "target, body, schema",
    [
        ("/v1/compress?report=json&score=yes", png(16, 16), "Report"),
        ("/v1/inspect", png(16, 16), "Source"),
        ("/v1/compress", b"no image", "Problem"),
        ("/v1/compress?quality=0", b"", "Problem"),
        ("/v1/nothing", b"", "Problem"),
    ],
)
def test_what_is_sent_has_the_described_form(peer: RawPeer, target: str, body: bytes, schema: str) -> None:
    check(peer.request(target, body).json, schema)


def test_the_check_finds_a_wrong_form() -> None:
    with pytest.raises(jsonschema.ValidationError):
        check({"status": "400"}, "Problem")
