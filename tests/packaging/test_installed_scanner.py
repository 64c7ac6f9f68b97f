"""A scanner on a machine with a real systemd: a stick that is plugged in, a controller, a configuration dropped by FTP."""

from __future__ import annotations

import json
from collections.abc import Iterator

import booted
import pytest
import waiting
from units import started

STICK = "/media/usb"
CONFIG = f"{STICK}/mandeye/mandeye_config.json"
CAMERAD, DROP_IN = "camerad@cam1", "/etc/systemd/system/camerad@cam1.service.d"

_CONTROLLER = f"""
import json, threading, time, zmq
pace = threading.Event()
socket = zmq.Context().socket(zmq.PUB)
socket.bind("tcp://127.0.0.1:5556")
while True:
    now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    said = {{"mode": "SCANNING", "continousScanDirectory": "{STICK}/scan", "stopScanDirectory": ""}}
    socket.send(json.dumps({{"time": now_ns, "dur": now_ns, **said}}).encode())
    pace.wait(0.125)
"""
#: Uploads what is named, if anything; then says what is there.
_FTP = """
import ftplib, io, sys
with ftplib.FTP() as client:
    client.connect("127.0.0.1", 2121, 10)
    client.login("anonymous", "")
    for text in sys.argv[1:]:
        client.storbinary("STOR mandeye_config.json", io.BytesIO(text.encode()))
    print(*client.nlst())
"""


def picamera(**controls: float) -> str:
    """A file of controls as the old service had it."""
    return json.dumps({"picamera": {"AeEnable": False, **controls}})


@pytest.fixture
def scanner(site: booted.Machine) -> Iterator[booted.Machine]:
    """The machine with a camerad and an ftpd for a scanner, as docs/from-mandeye.md has them; the stick is not plugged in."""
    of_camera = json.loads(site.say("cat", "/etc/camerad/cam1.json"))
    controller = {"endpoints": ["tcp://localhost:5556"], "interval_s": 0.5}
    of_camera |= {"roots": ["/media"], "controls_file": {"path": CONFIG}, "controller": controller}
    site.write("/etc/camerad/cam1.json", json.dumps(of_camera))
    of_drop = json.loads(site.say("cat", "/etc/ftpd/drop.json")) | {"anonymous": "drop", "photo": {"at_start": False}}
    site.write("/etc/ftpd/drop.json", json.dumps(of_drop))
    site.run("mkdir", "-p", STICK, DROP_IN)
    site.write(f"{DROP_IN}/stick.conf", "[Service]\nReadWritePaths=-/media\n")
    site.run("mount", "--make-rshared", "/")  # as systemd does where it is no guest
    site.run("systemctl", "daemon-reload")
    yield site
    site.run("systemctl", "stop", CAMERAD, "ftpd@drop", "controller", ok=None)
    site.run("umount", STICK, ok=None)
    site.run("rm", "-r", DROP_IN, STICK)
    site.run("systemctl", "daemon-reload")


def test_a_scanner_works_by_its_units(scanner: booted.Machine) -> None:
    started(scanner, CAMERAD, "ftpd@drop")
    scanner.run("systemd-run", "--unit=controller", "/usr/bin/python3", "-c", _CONTROLLER)
    owner = "uid=observatory,gid=observatory,mode=2775"
    scanner.run("mount", "-t", "tmpfs", "-o", owner, "stick", STICK)  # after the unit has begun, as by hand
    scanner.run("install", "-d", "-o", "observatory", f"{STICK}/mandeye", f"{STICK}/scan")
    scanner.write(CONFIG, picamera(ExposureTime=5000, AnalogueGain=2))

    waiting.until(lambda: scanner.run("test", "-s", f"{CONFIG}.report", ok=None).returncode == 0, 30, "the file's report")
    report = json.loads(scanner.say("cat", f"{CONFIG}.report"))
    assert report["applied"]["ExposureTime"] == 5000 and not report["refused"], report
    photos = waiting.until(
        lambda: len(names := scanner.say("ls", f"{STICK}/scan").split()) > 4 and names, 30, "photos of the scan"
    )
    assert {name.split("_")[0] for name in photos} == {"photo"}, photos

    ftp = ("/usr/bin/python3", "-c", _FTP)
    scanner.run(*ftp, picamera(ExposureTime=8000, AnalogueGain=3))
    waiting.until(lambda: "test000.jpg" in scanner.say(*ftp).split(), 20, "the test photo of what was dropped")
    assert json.loads(scanner.say("cam", "cam1", "status", "--json"))["exposure_time"] == pytest.approx(0.008, rel=0.01)
    assert [scanner.shows(unit, "NRestarts") for unit in (CAMERAD, "ftpd@drop")] == ["0", "0"]
