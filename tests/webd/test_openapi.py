"""The API against its own description: whatever fits it or does not, there is an answer and never a failure of ours."""

from __future__ import annotations

import os
import time
from typing import Any

import httpx
import pytest
import schemathesis
import webd
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from vitals import Vitals

EXAMPLES = 15
#: Endless answers; and what would go on for long or take the devices away from the other tests.
ENDLESS = ("/events", "/mjpeg")
LASTING = ("/sequence/start", "/video/start", "/shutdown", "/autofocus", "/raw", "/photo")
NAMES = {"cameras": "cam1", "focusers": "focus1", "gpios": "gpio1"}


def test_every_operation_says_who_may_use_it(rig: webd.Rig, administrator: webd.Browser) -> None:
    described = administrator.get("/api/v1/openapi.json").json()
    for where, methods in described["paths"].items():
        for method, operation in methods.items():
            assert operation["responses"]["default"]["content"].keys() == {"application/problem+json"}
            assert operation["description"], (where, method)
            public = where in ("/api/v1/session", "/api/v1/setup") and method == "post"
            assert public is ("x-role" not in operation), (where, method)


@pytest.mark.timeout(300)
def test_whatever_is_sent_is_answered(rig: webd.Rig, administrator: webd.Browser, machine_lag: Any) -> None:
    secret = administrator.post("/api/v1/tokens", json={"label": "fuzz", "role": "administrator"}).json()["secret"]
    schema = schemathesis.openapi.from_dict(administrator.get("/api/v1/openapi.json").json())
    both = (rig.web.vitals, Vitals(os.getpid()))  # who asks and who answers, in turn
    before_s = sum(vitals.waited_s() for vitals in both)
    began, seen, statuses = time.monotonic(), 0, set()
    with rig.web.browser(headers={"authorization": f"Bearer {secret}"}) as client:
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path.endswith(ENDLESS):
                continue
            statuses |= tried(client, operation)
            seen += 1
    assert seen > 50 and {200, 404, 422} <= statuses
    took_s = time.monotonic() - began
    waited_s = max(sum(vitals.waited_s() for vitals in both) - before_s, 0.0)
    assert took_s - waited_s < 120 + machine_lag.seconds, "bounded, also on a slow machine"
    for name in ("camera", "focuser", "gpio"):
        assert administrator.get(f"/api/v1/{name}s").json()[0]["reachable"]


def tried(client: httpx.Client, operation: Any) -> set[int]:
    """Send what fits the description and what does not; the statuses of the answers."""
    kind = operation.path.split("/")[3]
    deep = kind in NAMES and not operation.path.endswith(LASTING)
    modes = [operation.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]
    statuses: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(*modes), real=st.booleans())
    def send(case: Any, real: bool) -> None:
        if deep and real and "name" in (case.path_parameters or {}):
            case.path_parameters["name"] = NAMES[kind]
        arguments = case.as_transport_kwargs(base_url=str(client.base_url))
        if isinstance(arguments.get("data"), (bytes, str)):
            arguments["content"] = arguments.pop("data")
        try:
            answer = client.request(**{key: value for key, value in arguments.items() if key in _SENT})
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError, ValueError, TypeError):
            return  # the client refuses to send it
        statuses.add(answer.status_code)
        assert answer.status_code < 500, (operation.method, str(answer.url), answer.text)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json", str(answer.url)
            assert answer.json()["status"] == answer.status_code

    send()
    return statuses


_SENT = frozenset({"method", "url", "headers", "params", "json", "data", "content"})
