"""The packages on a machine with a real systemd: install, start, use, break, and what stands in the journal."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import booted
import pytest
import waiting
from units import again, frozen, started

SIMULATOR, FOCUSD = "focusd-simulator@test", "focusd@test"


def focus_status(machine: booted.Machine) -> dict:
    """The status of focusd, as an ordinary user sees it; empty while it cannot be reached."""
    done = machine.run("focus", "json", user="ann", ok=None)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def connected(machine: booted.Machine) -> None:
    """Wait until focusd has its controller, and say that what it shows is right."""
    waiting.until(lambda: focus_status(machine).get("state") == "idle", 15, "the controller")
    machine.run("focus", "confirm", "1", "--yes", user="ann")


def moving(machine: booted.Machine, steps: int) -> int:
    """Begin a move; the process id of focusd when it is under way."""
    machine.run("focus", "set", "1", str(steps), "--no-wait", user="ann")
    return machine.pid(FOCUSD)


def back_soon(machine: booted.Machine, old: int, machine_lag) -> float:
    """Wait until focusd is back after `kill -9`, 2 s at most but for want of a processor; after how many it was."""
    took_s = again(machine, FOCUSD, old, 20)
    told = machine.run("sh", "-c", f"cat /proc/{machine.pid(FOCUSD)}/task/*/schedstat", ok=None).stdout
    waited_s = sum(int(line.split()[1]) for line in told.splitlines()) / 1e9  # all of it since the kill
    assert took_s - waited_s < 2 + machine_lag.seconds, (took_s, waited_s)
    return took_s


def process_status(machine: booted.Machine, unit: str) -> dict[str, str]:
    """What the kernel says of the main process of a unit."""
    lines = machine.say("cat", f"/proc/{machine.pid(unit)}/status").splitlines()
    return {key: value.strip() for key, value in (line.split(":", 1) for line in lines)}


def test_a_user_moves_a_focuser(site: booted.Machine, figures: list[str]) -> None:
    began = time.monotonic()
    started(site, SIMULATOR, FOCUSD)
    figures.append(f"{FOCUSD} active {time.monotonic() - began:.2f} s after systemctl start")
    connected(site)
    assert "Channel 1: -000001 steps" in site.say("focus", "status", user="ann")
    site.run("focus", "set", "1", "60", user="ann")
    assert focus_status(site)["current_steps_1"] == 60
    assert focus_status(site)["software_version"] == site.say(
        "rpm", "--query", "--queryformat=%{version}", "observatory-focus-server"
    )
    fields = site.say("journalctl", "--output=json", "OBSERVATORY_DAEMON=focusd", "OBSERVATORY_INSTANCE=test", "PRIORITY=6")
    assert all(json.loads(line)["SYSLOG_IDENTIFIER"] == FOCUSD for line in fields.splitlines())
    assert "set_focus" in fields


@pytest.mark.parametrize(
    ("units", "groups"),
    [
        ((SIMULATOR, FOCUSD), {"dialout"}),
        (("camerad@cam2",), {"audio", "video"}),
        (("gpiod-simulator@test", "gpiod@test"), {"gpio"}),
        (("camerad@cam1", "ftpd@drop"), set()),
        (("webd@test",), set()),
    ],
    ids=["focusd", "camerad", "gpiod", "ftpd", "webd"],
)
def test_a_daemon_is_nobody(site: booted.Machine, units: tuple[str, ...], groups: set[str]) -> None:
    started(site, *units)
    for unit in units:
        seen = process_status(site, unit)
        assert seen["Uid"].split()[0] == site.say("id", "--user", "observatory")
        assert {int(seen[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
        assert (seen["NoNewPrivs"], seen["Seccomp"]) == ("1", "2")
    numbers = set(process_status(site, units[-1])["Groups"].split())
    own = {site.say("id", "--group", "observatory")}
    assert numbers - own == {site.say("getent", "group", group).split(":")[2] for group in groups}
    inside = ["nsenter", "--target", str(site.pid(units[-1])), "--mount", "--root", "touch"]
    for place in ("/etc/probe", "/usr/probe", "/var/lib/probe", "/home/probe", "/root/probe"):
        assert site.run(*inside, place, ok=None).returncode != 0, f"{place} can be written"


def test_the_heavy_libraries_work_in_the_sandbox(site: booted.Machine) -> None:
    started(site, "camerad@cam2", "gpiod-simulator@test", "gpiod@test")
    waiting.until(lambda: json.loads(site.say("cam", "cam2", "json"))["state"] == "idle", 20, "the camera")
    site.run("mkdir", "/tmp/pictures")
    for shot in ("photo --with-raw dng --output .", "photo --raw --output .", "video --duration 1 --output test.mp4"):
        site.run("sh", "-c", f"cd /tmp/pictures && cam cam2 {shot}")
    sizes = {
        Path(name).suffix: int(size)
        for size, name in (
            line.split()
            for line in site.say(
                "sh", "-c", "cd /tmp/pictures && stat --format='%s %n' *.jpg *.dng *.fits *.mp4; rm -r /tmp/pictures"
            ).splitlines()
        )
    }
    assert set(sizes) == {".jpg", ".dng", ".fits", ".mp4"}
    assert min(sizes.values()) > 1000, sizes
    site.run("gpio", "lamp", "on", user="ann")
    assert re.search(r"lamp +PWMLED +1", site.say("gpio", "status", user="ann"))
    site.run("gpio", "filter", "zero", user="ann")
    site.run("gpio", "filter", "rotate_to", "target=10", user="ann")


def test_a_killed_daemon_adopts_the_move(site: booted.Machine, figures: list[str], machine_lag) -> None:
    started(site, SIMULATOR, FOCUSD)
    connected(site)
    old = moving(site, 600)  # 10 s
    waiting.until(lambda: (focus_status(site).get("current_steps_1") or 0) > 5, 10, "the motor to turn")
    site.run("kill", "-KILL", str(old))
    took_s = back_soon(site, old, machine_lag)
    figures.append(f"{FOCUSD} active {took_s:.2f} s after kill -9")
    waiting.until(lambda: focus_status(site).get("moving_1"), 5, "the move to be adopted")
    waiting.until(lambda: focus_status(site).get("state") == "idle", 20, "the move's end")
    seen = focus_status(site)
    assert (seen["current_steps_1"], seen["position_state_1"]) == (600, "confirmed")
    assert site.shows(FOCUSD, "NRestarts") == "1"


def test_a_position_that_nobody_saw_is_flagged(site: booted.Machine, machine_lag) -> None:
    started(site, SIMULATOR, FOCUSD)
    connected(site)
    old = site.pid(FOCUSD)
    # 0.3 s: over before the next focusd looks. Killed by the same shell, as starting one more program may take as long.
    site.run("sh", "-c", f"focus set 1 20 --no-wait && kill -KILL {old}")
    back_soon(site, old, machine_lag)
    seen = waiting.until(lambda: (status := focus_status(site)).get("state") == "idle" and status, 10, "the controller")
    assert (seen["current_steps_1"], seen["position_state_1"], seen["last_confirmed_steps_1"]) == (20, "uncertain", -1)
    refused = site.run("focus", "set", "1", "100", user="ann", ok=None)
    assert refused.returncode == 42, refused
    assert not [line for line in site.journal(f"--unit={FOCUSD}") if "Traceback" in line or "cannot be read" in line]


def test_a_frozen_worker_is_replaced(site: booted.Machine, figures: list[str]) -> None:
    started(site, SIMULATOR, FOCUSD)
    connected(site)
    old, watchdog_s = site.pid(FOCUSD), int(site.shows(FOCUSD, "WatchdogUSec").removesuffix("s"))
    with frozen(site, old, "serial worker runs"):
        took_s = again(site, FOCUSD, old, watchdog_s + 5)
        figures.append(f"{FOCUSD} active {took_s:.1f} s after its worker froze (watchdog {watchdog_s} s)")
    waiting.until(lambda: focus_status(site).get("state") == "idle", 10, "the controller")


def test_the_device_may_come_later(site: booted.Machine, figures: list[str]) -> None:
    started(site, FOCUSD)
    seen = waiting.until(lambda: focus_status(site), 10, "a status")
    assert (seen["state"], seen["current_steps_1"], seen["status_label_1"]) == ("connecting", None, "OFFLINE")
    assert "OFFLINE" in site.say("focus", "status", user="ann")
    started(site, SIMULATOR)
    began = time.monotonic()
    waiting.until(lambda: focus_status(site).get("state") == "idle", 10, "the controller")
    figures.append(f"{FOCUSD} connected {time.monotonic() - began:.1f} s after the controller appeared")
    assert site.shows(FOCUSD, "NRestarts") == "0"


def test_a_bad_config_fails_once_and_clearly(site: booted.Machine) -> None:
    text = site.say("cat", "/etc/focusd/test.json")
    site.write("/etc/focusd/bad.json", text.replace('"serial_timeout": 5', '"serial_timeout": 500'))
    line = 1 + text[: text.index('"serial_timeout"')].count("\n")
    assert site.run("systemctl", "start", "focusd@bad", ok=None).returncode != 0
    assert site.shows("focusd@bad", "ActiveState") == "failed"  # not waiting to be started again
    assert site.shows("focusd@bad", "NRestarts") == "0"
    # systemd may know of its end before journald has read what it said
    (said,) = waiting.until(lambda: site.journal("--quiet", "SYSLOG_IDENTIFIER=focusd@bad"), 10, "it in the journal")
    assert said.startswith(f"/etc/focusd/bad.json:{line}: $.serial_timeout: ")
    assert "500" in said


def test_two_instances_side_by_side(site: booted.Machine) -> None:
    text = site.say("cat", "/etc/focusd/test.json")
    site.write("/etc/focusd-simulator/east.json", "{}")
    for old, new in (
        ("localhost_test", "localhost_test9"),
        ("focusd@test", "focusd@east"),
        ("simulator/test", "simulator/east"),
    ):
        text = text.replace(f'{old}"', f'{new}"')
    site.write("/etc/focusd/east.json", text)
    started(site, SIMULATOR, "focusd-simulator@east", FOCUSD, "focusd@east")
    for instance, steps in (("test", 10), ("east", 20)):
        config = ("--config", f"/etc/focusd/{instance}.json")
        ready = ["focus", *config, "confirm", "1", "--yes"]
        waiting.until(lambda ready=ready: site.run(*ready, user="ann", ok=None).returncode == 0, 15, f"focusd@{instance}")
        site.run("focus", *config, "set", "1", str(steps), user="ann")
        seen = json.loads(site.say("focus", *config, "json", user="ann"))
        assert (seen["instance"], seen["current_steps_1"]) == (instance, steps)
    site.run("systemctl", "stop", "focusd-simulator@east")
    assert "10 steps" in site.say("focus", "--config", "/etc/focusd/test.json", "status", user="ann")
    assert "two" not in site.say("ls", "/var/lib/focusd")
    assert site.say("ls", "/var/lib/focusd").split() == ["east", "test"]


def test_the_target_stops_and_starts_them_all(site: booted.Machine) -> None:
    site.run("systemctl", "enable", FOCUSD, "gpiod@test")
    site.run("systemctl", "start", "observatory.target")
    assert site.is_active(FOCUSD)
    assert site.is_active("gpiod@test")
    assert not site.is_active("camerad@cam1")  # not enabled
    site.run("systemctl", "stop", "observatory.target")
    assert not site.is_active(FOCUSD)
    assert not site.is_active("gpiod@test")


def test_a_stop_is_orderly(site: booted.Machine, figures: list[str]) -> None:
    started(site, SIMULATOR, FOCUSD)
    connected(site)
    moving(site, 600)
    began = time.monotonic()
    site.run("systemctl", "stop", FOCUSD)
    took_s = time.monotonic() - began
    figures.append(f"{FOCUSD} stopped in mid-move within {took_s:.2f} s")
    assert took_s < 6
    assert (site.shows(FOCUSD, "Result"), site.shows(FOCUSD, "ExecMainStatus")) == ("success", "0")
    asked = site.say(
        "focusd-simulator",
        "/etc/focusd-simulator/test.json",
        "--request",
        '{"query": "state"}',
        environment={"OBSERVATORY_RUN": "/run/observatory", "STATE_DIRECTORY": "/var/lib/focusd-simulator/test"},
    )
    assert '"moving": true' not in asked.lower(), asked


def test_units_and_checks_are_clean_where_they_are_installed(site: booted.Machine) -> None:
    units = site.say(
        "sh", "-c", "ls /usr/lib/systemd/system/ | grep -E '^(focusd|camerad|gpiod|ftpd|webd|observatory)'"
    ).split()
    assert "observatory.target" in units
    assert len(units) >= 6
    paths = [f"/usr/lib/systemd/system/{unit.replace('@.', '@.')}" for unit in units]
    done = site.run("systemd-analyze", "verify", "--man=no", *paths, ok=None)
    own = [line for line in (done.stdout + done.stderr).splitlines() if any(unit.split("@")[0] in line for unit in units)]
    assert own == []
    assert site.run("rpm", "--verify", "--nodeps", *site.say("rpm", "-qa", "*observatory*").split()).stdout == ""
    for kind in ("focusd", "camerad", "gpiod", "ftpd", "webd"):
        for config in site.say("sh", "-c", f"echo /etc/{kind}/*.json").split():
            site.run("observatory", "check", config, user="observatory")
    assert site.run("ls", "/etc/ftpd", user="ann", ok=None).returncode != 0  # hashes of passwords
    shown = site.say("observatory", "status", user="ann", ok=(155,))
    assert "focusd@test" in shown
    assert "webd@test" in shown


def test_what_is_bundled_is_found_by_us_alone(site: booted.Machine) -> None:
    own = "/usr/lib/python3/dist-packages/observatory_common/bundled/"
    for module in ("Pyro5", "serpent", "linuxpy", "gpiozero", "colorzero", "uvicorn"):
        assert "No module named" in site.run("/usr/bin/python3", "-c", f"import {module}", ok=None).stderr
        found = site.say("/usr/bin/python3", "-c", f"import observatory_common, {module}; print({module}.__file__)")
        assert found.startswith(own), found


def test_short_names_are_alternatives(site: booted.Machine) -> None:
    assert site.say("readlink", "--canonicalize", "/usr/bin/cam") == "/usr/bin/observatory-cam"
    assert site.say("cam", "--version").startswith("cam ")
    for shell in ("cam", "observatory-cam"):
        asked = f"source /usr/share/bash-completion/completions/{shell}; "
        asked += f"COMP_WORDS=({shell} sna); COMP_CWORD=1; _cam_completion {shell}"
        assert site.say("bash", "-c", f'{asked}; echo "${{COMPREPLY[@]}}"; complete -p {shell}').startswith(
            "snapshot\ncomplete "
        )
    site.run("rpm", "--erase", "--nodeps", "observatory-client")
    assert site.run("test", "-e", "/usr/bin/cam", "-o", "-L", "/usr/bin/cam", ok=None).returncode == 1


def test_another_cam_stays(site: booted.Machine, now) -> None:
    site.run("rpm", "--erase", "--nodeps", "observatory-client")
    site.write("/usr/bin/cam", "#!/bin/sh\necho the cam of libcamera\n")
    site.run("chmod", "755", "/usr/bin/cam")
    site.run("rpm", "--upgrade", "--nodeps", f"/opt/now/{now.file('observatory-client').name}")
    assert site.say("cam") == "the cam of libcamera"
    assert site.say("observatory-cam", "--version").startswith("cam ")
    site.run("rpm", "--erase", "--nodeps", "observatory-client")
    assert site.say("cam") == "the cam of libcamera"
    site.run("rm", "/usr/bin/cam")


def test_firewalld_services_come_from_the_registry(site: booted.Machine) -> None:
    site.run("mkdir", "-p", "/etc/observatory")
    site.write("/etc/observatory/machines.json", '{"dome": "10.0.0.7"}')
    site.write("/etc/observatory/daemons.json", '{"dome_focus": {"machine": "dome", "port": 9044}}')
    text = site.say("cat", "/etc/focusd/test.json").replace('"localhost_test"', '"dome_focus"')
    site.write("/etc/focusd/test.json", text)
    assert "observatory-dome_focus" in site.say("observatory-firewalld", "/tmp").split()
    assert '<port protocol="tcp" port="9044"/>' in site.say("cat", "/tmp/observatory-dome_focus.xml")
    for host, found in (("127.0.0.1", ["9005"]), ("0.0.0.0", ["9005", "8080"])):
        web = {**json.loads(site.say("cat", "/etc/webd/test.json")), "listen": {"host": host, "port": 8080}}
        site.write("/etc/webd/test.json", json.dumps(web))
        site.run("observatory-firewalld", "/tmp")
        assert re.findall(r'port="(\d+)"', site.say("cat", "/tmp/observatory-localhost_test5.xml")) == found
    site.write("/etc/observatory/daemons.json", "{")
    failed = site.run("observatory-firewalld", "/tmp", ok=None)
    assert failed.returncode == 78
    assert failed.stderr.startswith("error: /etc/observatory/daemons.json")
    site.run("sh", "-c", "rm -r /tmp/observatory-*.xml /etc/observatory")


def test_photos_need_no_pyav(site: booted.Machine) -> None:
    """Fedora and EL have no package of it."""
    site.run("mv", "/opt/distribution/av", "/opt/distribution/gone")
    try:
        started(site, "camerad@cam2")
        waiting.until(lambda: json.loads(site.say("cam", "cam2", "json"))["state"] == "idle", 20, "the camera")
        site.run("sh", "-c", "cd /tmp && cam cam2 photo --output . && rm *.jpg")
        assert site.shows("camerad@cam2", "NRestarts") == "0"
    finally:
        site.run("mv", "/opt/distribution/gone", "/opt/distribution/av")
