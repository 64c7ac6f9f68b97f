"""Controls from a file: every key's fate, what a file does to a camera, the template and the report beside it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import waiting
from cameras import done, events_named
from controls_files import KNOWN, Setup
from scanner import Publisher

from observatory_camerad.fates import sorted_out
from observatory_camerad.scanner.template import refresh, template
from observatory_common.errors import CommandFailed, InvalidArgument, NotConnected

IN_FORCE = {"FrameDurationLimits": (33333, 33333)}
SEED = {"picamera": {"ExposureValue": -10, "AnalogueGain": 22}}

# fates


def fates(wanted: Any, strict: bool = False) -> dict[str, tuple[str, str | None]]:
    found = sorted_out(wanted, KNOWN, IN_FORCE, IN_FORCE, strict)
    return {key["key"]: (key["fate"], key["reason"]) for key in found.keys}


def test_the_seeds_example_is_refused_with_its_ranges() -> None:
    found = sorted_out(SEED["picamera"], KNOWN, IN_FORCE, IN_FORCE, False)
    assert found.values == {}
    assert found.refused == {
        "ExposureValue": "ExposureValue is -10, expected a number from -8.0 to 8.0 EV",
        "AnalogueGain": "AnalogueGain is 22, expected a number from 1.0 to 16.0",
    }
    assert found.keys[1] == {
        "key": "AnalogueGain",
        "value": 22,
        "fate": "refused",
        "reason": found.refused["AnalogueGain"],
        "minimum": 1.0,
        "maximum": 16.0,
        "default": 1.0,
        "type": "float",
        "count": 1,
        "unit": "",
        "values": {},
    }


def test_what_fits_is_set_and_the_rest_is_told() -> None:
    wanted = {
        "_comment": {"anything": [1]},
        "AwbMode": "Daylight",
        "ExposureTim": 5,
        "Contrast": True,
        "Sharpness": 10**400,
        "Saturation": {"a": 1},
        "Brightness": None,
        "ExposureTime": 50_000,
        "AnalogueGain": 2,
    }
    found = sorted_out(wanted, KNOWN, IN_FORCE, IN_FORCE, False)
    assert found.values == {"AwbMode": 5, "AnalogueGain": 2.0}
    reasons = {name: reason for name, (fate, reason) in fates(wanted).items() if fate == "refused"}
    assert set(reasons) == set(wanted) - {"_comment", "AwbMode", "AnalogueGain"}
    assert "did you mean ExposureTime?" in reasons["ExposureTim"]
    assert "does not fit into frames of 33333 us" in reasons["ExposureTime"]
    assert fates(wanted)["_comment"] == ("comment", None)
    json.dumps(found.keys, allow_nan=False)


@pytest.mark.parametrize(
    ("wanted", "refused"),
    [
        ({"ExposureTime": 50_000, "FrameDurationLimits": [33333, 60_000]}, set()),
        ({"AwbEnable": True, "ColourGains": [1.0, 1.0]}, {"ColourGains"}),
        ({"AeEnable": True, "ExposureTime": 5000, "AnalogueGain": 2}, {"AeEnable"}),
        ({"AfMode": "Continuous", "LensPosition": 2.0}, {"LensPosition"}),
        ({"LensPosition": 2.0, "AfTrigger": 0, "AfWindows": [[1, 2, 3, 4]]}, {"AfTrigger", "AfWindows"}),
        ({"ScalerCrop": [0, 0, 0, 5], "FrameDurationLimits": [20, 10]}, {"ScalerCrop", "FrameDurationLimits"}),
    ],
)
def test_controls_that_do_not_go_together(wanted: dict[str, Any], refused: set[str]) -> None:
    assert {name for name, (fate, _) in fates(wanted).items() if fate == "refused"} == refused


def test_strict_is_all_or_none() -> None:
    wanted = {"AwbMode": 5, "Nonsense": 1, "_x": 1}
    found = fates(wanted, strict=True)
    assert [fate for fate, _ in found.values()] == ["valid, not applied", "refused", "comment"]
    assert sorted_out(wanted, KNOWN, {}, {}, True).values == {}
    assert sorted_out({"AwbMode": 5}, KNOWN, {}, {}, True).values == {"AwbMode": 5}


def test_auto_exposure_takes_back_what_was_fixed() -> None:
    in_force = {"FrameDurationLimits": (33333, 900_000), "ExposureTime": 900_000, "AnalogueGain": 2.0}
    found = sorted_out({"AeEnable": True, "FrameDurationLimits": [33333, 40_000]}, KNOWN, in_force, IN_FORCE, False)
    assert found.refused == {}
    assert found.implied == {"ExposureTime": 0, "AnalogueGain": 0.0}


def test_half_a_character_is_shown_not_carried() -> None:
    """JSON can say what is no text in UTF-8, which no answer could carry."""
    half = "\ud800x"
    wanted = {half: 1, f"_{half}": half, "AwbMode": half, "Sharpness": {half: [half]}, "AnalogueGain": 2, "_ok": "\u00e9"}
    found = sorted_out(wanted, KNOWN, IN_FORCE, IN_FORCE, False)
    assert found.values == {"AnalogueGain": 2.0}
    assert set(found.refused) == {"'\\ud800x'", "AwbMode", "Sharpness"}
    msgpack.packb([found.refused, found.keys])
    assert [key["fate"] for key in found.keys] == ["refused", "comment", "refused", "refused", "applied", "comment"]
    assert found.keys[-1]["value"] == "\u00e9"


@pytest.mark.parametrize("wanted", [None, [], "x", {f"k{number}": 1 for number in range(201)}])
def test_what_is_no_set_of_controls(wanted: Any) -> None:
    with pytest.raises(InvalidArgument, match="controls"):
        sorted_out(wanted, KNOWN, {}, {}, False)


# the template


def test_the_template_can_be_applied_as_it_is() -> None:
    content = template("picamera", KNOWN)
    assert set(content) == {"picamera", "picamera_notes"}
    assert set(content["picamera_notes"]) == set(KNOWN)
    assert {"min", "max", "default", "type", "unit", "description"} <= set(content["picamera_notes"]["ExposureTime"])
    found = sorted_out(content["picamera"], KNOWN, IN_FORCE, IN_FORCE, True)
    assert found.refused == {}
    left_out = {name for name, note in content["picamera_notes"].items() if "remark" in note}
    assert left_out == set(KNOWN) - set(content["picamera"]) == {"AfTrigger", "AfPause", "AfWindows", "ColourGains"}


def test_a_template_is_renewed_but_nobodys_file_is(tmp_path: Path) -> None:
    path = tmp_path / "c.json.default"
    content = template("picamera", KNOWN)
    assert refresh(path, content) and not refresh(path, content)
    assert refresh(path, template("picamera", {"AeEnable": KNOWN["AeEnable"]})) and refresh(path, content)
    edited = json.loads(path.read_text())
    edited["picamera"]["AnalogueGain"] = 3.0
    for own in (json.dumps(edited), "[]", "{}", "half a {", json.dumps(content)):
        path.write_text(own)
        with pytest.raises(CommandFailed, match="left as it is"):
            refresh(path, content)
        assert path.read_text() == own
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(CommandFailed, match="left as it is"):
        refresh(path, content)
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.json.default"]


# the daemon


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    (tmp_path / "stick").mkdir()
    made = Setup(tmp_path, tmp_path / "stick" / "mandeye_config.json")
    yield made
    made.camerad.end()


def test_a_file_is_applied_whenever_it_changes(setup: Setup) -> None:
    setup.write({"picamera": {"_note": "dark", "ExposureTime": 4000, "AnalogueGain": 22}, "other": 1})
    setup.camerad.start()
    with setup.camerad.connect() as camera:
        report = setup.report(camera)
        assert report["applied"] == {"ExposureTime": 4000}
        assert report["refused"] == {"AnalogueGain": "AnalogueGain is 22, expected a number from 1.0 to 16.0"}
        assert [key["fate"] for key in report["keys"]] == ["comment", "applied", "refused"]
        assert report["complete"] and abs(report["in_effect"]["ExposureTime"] - 4000) < 30
        seen = camera.report_status()
        assert seen["controls_file"] == str(setup.path)
        assert seen["controls_file_state"] == "partly_applied" and seen["controls_file_error"] is None
        assert seen["controls_file_applied"] == {"ExposureTime": 4000}
        assert json.loads(setup.template_path.read_text())["picamera"] == camera.controls_template()["template"]["picamera"]
        assert camera.controls_template()["file"] == str(setup.template_path)
        setup.write(json.dumps({"picamera": {"AnalogueGain": 3.0, "Brightness": 0.25}}))
        report = setup.report(camera, report["date"])
        assert report["applied"] == {"AnalogueGain": 3.0, "Brightness": 0.25} and report["refused"] == {}
        assert camera.report_status()["settings_revision"] == seen["settings_revision"] + 1  # together
        assert camera.report_status()["controls_file_state"] == "applied"
        in_force = {name: info["value"] for name, info in camera.controls().items()}
        assert (in_force["ExposureTime"], in_force["AnalogueGain"]) == (4000, 3.0)  # the others stay
        assert len(events_named(camera, "controls_applied")) == 2
        setup.path.unlink()
        waiting.until(lambda: camera.report_status()["controls_file_state"] == "absent", 5, "the file to be missed")
    log, of = setup.camerad.log.read_text(), f"of {setup.path}"
    for line in (
        f"control _note {of} comment",
        f"control ExposureTime {of} applied: 4000 (takes a whole number from 29 to 600000000 us)",
        f"control AnalogueGain {of} refused: AnalogueGain is 22, expected a number from 1.0 to 16.0",
        f"control AnalogueGain {of} applied: 3.0 (takes a number from 1.0 to 16.0)",
    ):
        assert log.count(f"{line}\n") == 1, log


def test_the_seeds_example_beside_another_key(setup: Setup) -> None:
    """What is beyond its range is refused with it, half a character too, and the rest is set; the report has them all."""
    setup.write(json.dumps({"picamera": {**SEED["picamera"], "ExposureTime": 4000, "\ud800x": 1}}))
    setup.camerad.start()
    with setup.camerad.connect() as camera:
        report = setup.report(camera)
        assert report["applied"] == {"ExposureTime": 4000}
        assert report["refused"].pop("'\\ud800x'").startswith("this camera has no control")
        assert report["refused"] == {
            "ExposureValue": "ExposureValue is -10, expected a number from -8.0 to 8.0 EV",
            "AnalogueGain": "AnalogueGain is 22, expected a number from 1.0 to 16.0",
        }
        assert {key["key"]: (key["fate"], key["minimum"], key["maximum"]) for key in report["keys"]} == {
            "ExposureValue": ("refused", -8.0, 8.0),
            "AnalogueGain": ("refused", 1.0, 16.0),
            "ExposureTime": ("applied", 29, 600_000_000),
            "'\\ud800x'": ("refused", None, None),
        }
        assert report["complete"] and abs(report["in_effect"]["ExposureTime"] - 4000) < 30
        assert camera.report_status()["controls_file_refused"] == camera.controls_file()["report"]["refused"]


def test_its_template_copied_changes_nothing_but_is_applied(setup: Setup) -> None:
    setup.camerad.start()
    with setup.camerad.connect() as camera:
        waiting.until(setup.template_path.exists, 5, "the template")
        waiting.until(lambda: camera.report_status()["controls_file_state"] == "absent", 5, "the first look")
        setup.write(setup.template_path.read_text())
        report = setup.report(camera)
        assert report["refused"] == {} and len(report["applied"]) > 20


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"picamera": {"AnalogueGain": 2', r"mandeye_config.json:1: \$: is no JSON: .* \(column \d+\)"),
        ("[]", "must hold one object"),
        ('{"camera": {}}', "has no object picamera, only: 'camera'"),
        ('{"picamera": 5}', "has no object picamera"),
        ('{"\\ud800": 5}', r"only: '\\ud800'"),
        ('{"\\ud800": 5, "\\ud800": 5}', r"ud800.* twice"),
        ('{"picamera": {"AnalogueGain": 2, "AnalogueGain": 3}}', "twice"),
        ('{"picamera": {"AnalogueGain": 1e999}}', "too large"),
        ("\x00\xff", "is no JSON"),
        ("", "is no JSON"),
        (" " * ((1 << 16) + 1), "is larger than 65536 bytes"),
    ],
)
def test_what_is_no_object_of_controls_applies_nothing(text: str, says: str, setup: Setup) -> None:
    setup.write(text)
    setup.camerad.start()
    with setup.camerad.connect() as camera:
        report = setup.report(camera)
        assert report["applied"] == {} and report["keys"] == []
        assert re.search(says, report["error"]), report["error"]
        seen = camera.report_status()
        assert seen["controls_file_state"] == "refused" and seen["controls_file_error"] == report["error"]
        assert not camera.settings()["changed"]
        setup.write(SEED | {"picamera": {"AnalogueGain": 2}})
        assert setup.report(camera, report["date"])["applied"] == {"AnalogueGain": 2.0}


def test_strict_sets_none_if_one_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "stick").mkdir()
    setup = Setup(tmp_path, tmp_path / "stick" / "c.json", strict=True, section="camera", template=False)
    try:
        setup.write({"camera": {"AnalogueGain": 2, "ExposureTime": 1}})
        setup.camerad.start()
        with setup.camerad.connect() as camera:
            report = setup.report(camera)
            assert report["applied"] == {} and list(report["refused"]) == ["ExposureTime"]
            assert [key["fate"] for key in report["keys"]] == ["valid, not applied", "refused"]
            assert camera.report_status()["controls_file_state"] == "refused"
            assert not camera.settings()["changed"]
        held_back = f"of {setup.path} valid, not applied: another key is refused, and all or none were asked for"
        line = f"control AnalogueGain {held_back} (takes a number from 1.0 to 16.0)\n"
        waiting.until(lambda: line in setup.camerad.log.read_text(), 5, "the log")
        assert not setup.template_path.exists()
    finally:
        setup.camerad.end()


def test_controls_that_are_handed_over_are_in_the_next_photo(setup: Setup) -> None:
    setup.camerad.start()
    with setup.camerad.connect() as camera:
        done(camera, camera.take_photo())
        took = []
        for exposure_us in (3000, 9000, 2000, 6000):
            began = time.monotonic()
            report = camera.apply_controls({"ExposureTime": exposure_us, "Sharpness": 99}, False)
            photo = done(camera, camera.take_photo())
            took.append(time.monotonic() - began)
            assert report["applied"] == {"ExposureTime": exposure_us} and list(report["refused"]) == ["Sharpness"]
            assert abs(photo["metadata"]["ExposureTime"] - exposure_us) < 40
        print(f"apply and photo: {[round(one, 3) for one in took]} s")
        assert min(took) < 0.4
        nothing = camera.apply_controls({"ExposureTime": 100, "Sharpness": 99}, True)
        assert nothing["applied"] == {} and not nothing["complete"]
        with pytest.raises(InvalidArgument, match="strict is 1"):
            camera.apply_controls({}, 1)
        with pytest.raises(InvalidArgument, match="expected names and values"):
            camera.apply_controls([])
        camera.shutdown()
        with pytest.raises(NotConnected):
            camera.apply_controls({"AnalogueGain": 2})
        setup.write({"picamera": {"AnalogueGain": 5.0}})
        waiting.until(lambda: camera.controls_file()["state"] == "waiting", 5, "the camera to be missed")
        camera.initialize()
        assert setup.report(camera)["applied"] == {"AnalogueGain": 5.0}


def test_the_old_command_reloads_and_takes_numbered_photos(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "test.jpg").write_text("of the last run")
    ftp = Publisher()
    setup = Setup(tmp_path, folder / "c.json", test_photo=True, controller={"endpoints": [ftp.endpoint]})
    try:
        setup.camerad.start()
        with setup.camerad.connect() as camera:
            waiting.until(lambda: camera.controls_file()["test_photo"] == "test.jpg", 10, "the photo at the start")
            assert (folder / "test.jpg").read_bytes().endswith(b"\xff\xd9")
            waiting.until(lambda: ftp.send(b"hello") or camera.controller_status()["dropped"], 10, "the connection")
            for name, exposure_us in (("test000", 5000), ("test001", 7000)):
                setup.write({"picamera": {"ExposureTime": exposure_us}})
                ftp.send({"command": "RELOAD_CONFIG_TEST_PHOTO"})
                waiting.until((folder / f"{name}.jpg").exists, 10, name)
                taken = json.loads((folder / f"{name}.json").read_text())
                assert abs(taken["ExposureTime"] - exposure_us) < 40
            assert camera.controller_status()["command"]["command"] == "RELOAD_CONFIG_TEST_PHOTO"
            assert camera.controller_status()["state"] == "waiting"
    finally:
        setup.camerad.end()
        ftp.close()
