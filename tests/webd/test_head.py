"""HEAD: as GET, without a body; never the beginning of something that has no end or an effect."""

from __future__ import annotations

import httpx
import pytest
import webd

CAMERA = "/api/v1/cameras/cam1"
#: What tells when it was made.
_CHANGING = {"date", "content-length", "etag"}


@pytest.mark.parametrize(
    "path",
    ["/", "/login", "/live", "/api/v1/session", "/api/v1/cameras", f"{CAMERA}/controls", f"{CAMERA}/settings/sets/none",
     "/api/v1/cameras/none", "/api/v1/users", "/api/v1/openapi.json", "/api/v1/gpios/gpio1/devices", "/nowhere"],
)  # fmt: skip
def test_it_is_answered_as_get(rig: webd.Rig, administrator: webd.Browser, path: str) -> None:
    def both(browser: httpx.Client, accept: str) -> int:
        get, head = (browser.request(method, path, headers={"accept": accept}) for method in ("GET", "HEAD"))
        assert (head.status_code, head.content) == (get.status_code, b"")
        first, second = (
            {name: value for name, value in answer.headers.items() if name not in _CHANGING} for answer in (get, head)
        )
        assert first == second and ("content-length" in get.headers) == ("content-length" in head.headers)
        return head.status_code

    for accept in ("*/*", "text/html"):
        known = both(administrator, accept)
        with rig.web.browser() as nobody:
            status = both(nobody, accept)
        public = path in ("/login", "/nowhere")
        assert status in ((known, 200) if public else (401, 303)), (path, accept)


def test_it_begins_nothing_that_has_no_end(rig: webd.Rig, administrator: webd.Browser) -> None:
    for path in ("/api/v1/events", f"{CAMERA}/zip"):
        assert administrator.head(path).status_code == 405, path
    for path in ("/video_feed", f"{CAMERA}/streams/live/mjpeg"):
        assert administrator.head(path).status_code == 200, path
    with rig.web.connect() as web:
        status = web.report_status()
        assert status["listeners"] == 0 and not any(stream["viewers"] for stream in status["streams"])


def test_it_has_no_effects(rig: webd.Rig, administrator: webd.Browser) -> None:
    token = administrator.post("/api/v1/tokens", json={"label": "head", "role": "operator"}).json()["secret"]
    with rig.web.browser(headers={"authorization": f"Bearer {token}"}) as script:
        for path in ("/api/take_photo", "/api/switch_cameras", "/api/info", f"{CAMERA}/photo"):
            assert script.head(path).status_code == 405, path
    assert administrator.get(f"{CAMERA}/files").json()["total"] == 0
    assert administrator.get("/api/v1/session").status_code == 200


def test_the_description_does_not_tell_of_it(rig: webd.Rig, administrator: webd.Browser) -> None:
    paths = administrator.get("/api/v1/openapi.json").json()["paths"]
    assert len(paths) > 40 and not any("head" in methods for methods in paths.values())
