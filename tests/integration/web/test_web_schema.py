"""The OpenAPI document is what the server does: Schemathesis takes it at its word, with right and with wrong requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from gateway.web.api import ENDPOINTS

EXAMPLES = 12
# A document can't say which month has a day 31, or that --sn is for docks: such requests are refused though it allows them.
EXCEPT = [positive_data_acceptance]


def operations(site: Any) -> Iterator[Any]:
    schema = schemathesis.openapi.from_url(f"{site.origin}/api/v1/openapi.json")
    schema.validate()
    for found in schema.get_all_operations():
        operation = found.ok()
        answers = operation.definition.raw["responses"]
        if "text/event-stream" not in json.dumps(answers.get("200", {})):
            yield operation


@pytest.mark.parametrize("mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE])
def test_requests_right_and_wrong_are_answered_as_the_document_says(
    installation: Any, open_site: Any, mode: Any
) -> None:
    installation.license()
    site = open_site(installation, lambda admin: admin.update(requests_per_second=100_000))
    headers = {"Authorization": f"Bearer {site.token()}"}
    seen = []
    for operation in operations(site):

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        def each(case: Any) -> None:
            seen.append(case)
            response = case.call(headers=headers)
            assert response.status_code < 500, response.text
            case.validate_response(response, headers=headers, excluded_checks=EXCEPT)

        each()
    assert len(seen) > 100
    assert site.http().get("/healthz").json() == {"ok": True}


def test_every_endpoint_is_in_the_document_once(site: Any) -> None:
    found = site.http().get("/api/v1/openapi.json").json()
    assert found["openapi"].startswith("3.1")
    told = {(method.upper(), path) for path, methods in found["paths"].items() for method in methods}
    assert told == {(endpoint.method, f"/api/v1{endpoint.path}") for endpoint in ENDPOINTS}
    # a token that leaked can't make another one that outlives it, nor a login: that is for the gateway's machine
    assert {method for method, path in told if path.endswith(("/tokens", "/operators", "/backup"))} == {"GET"}
    ids = [each["operationId"] for methods in found["paths"].values() for each in methods.values()]
    assert len(ids) == len(set(ids))
