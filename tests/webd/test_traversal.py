"""Names that are paths, in the place of every name that the API takes: nothing outside is read or made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import waiting
import webd

SECRET = "root:"
PATHS = ("..%5c..%5cesc", "%2e%2e", "..%2fesc", "..%2f..%2fesc", "%00", "esc%00.jpg", "%2fetc%2fpasswd", "%2fesc")
#: What stands in the other places, so that it is the path that is refused.
NAMES = {"cameras": "cam1", "focusers": "focus1", "gpios": "gpio1", "users": "olga"}
OTHERS = {"id": "1", "set": "kept", "file": "real.jpg", "device": "lamp", "method": "on", "use_case": "live", "stream": "live"}
BODY: dict[str, Any] = {
    "role": "viewer", "password": webd.PASSWORD, "values": {}, "exposure_s": 0.1, "gain": 1, "count": 1, "to": "cam1",
    "names": ["real.jpg"], "channel": 1, "steps": 0, "enabled": False,
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a name stands: in the path for `{}`, or in the query."""

    method: str
    address: str
    name: str
    body: dict[str, Any] | None


def places(described: dict[str, Any]) -> Iterator[Place]:
    """Every name in a path, every text in a query."""
    for path, methods in described["paths"].items():
        real = {**OTHERS, "name": NAMES.get(path.split("/")[3], "")}
        for method, operation in methods.items():
            for parameter in operation.get("parameters", ()):
                name = parameter["name"]
                filled = path.replace(f"{{{name}}}", "{}").format("{}", **{**real, name: "{}"})
                if parameter["in"] == "path":
                    yield Place(method, filled, name, body_of(described, operation))
                elif parameter["in"] == "query" and "'string'" in str(parameter["schema"]):
                    yield Place(method, f"{filled}?{name}={{}}", name, body_of(described, operation))


def body_of(described: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any] | None:
    """What an operation must have."""
    if "requestBody" not in operation:
        return None
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema = described["components"]["schemas"][reference.rpartition("/")[2]]
    return {name: BODY[name] for name in schema.get("required", ())}


def files(rig: webd.Rig) -> set[Path]:
    """Those of all daemons, and the folders."""
    return set(rig.web.folder.parent.rglob("*"))


@pytest.fixture
def outside(rig: webd.Rig, administrator: webd.Browser) -> None:
    """What the real names stand for, so that daemons have written what they do at first; and files that paths lead to."""
    olga = {"user": "olga", "role": "viewer", "password": "given by somebody"}
    administrator.post("/api/v1/users", json=olga).raise_for_status()
    administrator.post("/api/v1/cameras/cam1/settings/sets/kept/save").raise_for_status()
    pictures = rig.cameras["cam1"].output
    (pictures / "real.jpg").write_bytes(b"a picture")
    for folder in (pictures.parent, pictures.parents[1], rig.web.state_folder.parent):
        (folder / "esc").write_text(SECRET)


@pytest.mark.usefixtures("outside")
def test_no_name_is_a_path(rig: webd.Rig, administrator: webd.Browser) -> None:
    before = {path for path in files(rig) if not path.match(".*.????????")}  # so write_atomic names what it is writing
    tried = set()
    for place in places(administrator.get("/api/v1/openapi.json").json()):
        for path in PATHS:
            url = place.address.replace("{}", path)
            body = {} if place.body is None else {"json": place.body}
            with administrator.stream(place.method, url, **body) as answer:
                assert path.encode() in answer.request.url.raw_path, "sent as it is"
                kept = place.name == "set" and "/" not in unquote(path)  # settings may have such a name, which is no file's
                assert answer.status_code in ((200, 404, 422) if kept else (404, 405, 409, 422)), (place, path)
                assert SECRET not in answer.read().decode(), (place, path)
        tried.add(place.name)
    assert tried == {"name", "stream", "day", "shot", *OTHERS}
    waiting.until(lambda: files(rig) == before, 10, "no file more and none less")
