"""The description of the interface agrees with OpenAPI, with the settings and with what is sent."""

import ast
import dataclasses
import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from google.rpc import code_pb2
from openapi_spec_validator import OpenAPIV31SpecValidator

from compressor.service.http import problem
from compressor.service.http.openapi import document
from compressor.service.http.parameters import PARAMETERS
from compressor.service.http.problem import STATUSES, TITLES
from compressor.service.status import CODES
from compressor.settings import ENUMS, Settings
from tests import ROOT
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


def statuses_of_request_errors() -> set[int]:
    """Return the statuses that the sources give to RequestError."""
    found = set[int]()
    for path in (ROOT / "compressor/service/http").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "RequestError":
                given = node.args[0]
                found.add(getattr(problem, given.id) if isinstance(given, ast.Name) else ast.literal_eval(given))
    return found


def test_every_status_that_can_occur_has_a_title_and_is_described() -> None:
    described = document()["paths"]["/v1/compress"]["post"]["responses"]
    page = (ROOT / "docs/http.md").read_text()
    specific = {problem.FORMAT_STATUS, problem.IDLE_STATUS, problem.NOT_ACCEPTABLE}
    by_code = {STATUSES[code] for code in (*CODES.values(), code_pb2.INTERNAL)}
    possible = by_code | specific | statuses_of_request_errors()

    assert {401, 404, 405, 415} == statuses_of_request_errors()
    assert set(TITLES) == possible
    assert set(STATUSES) == {*CODES.values(), code_pb2.INTERNAL}
    assert {int(status) for status in described} == {200, *possible} - {404, 405}
    assert {int(status) for status in re.findall(r"^\| ([45]\d\d) \|", page, re.MULTILINE)} == possible


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
