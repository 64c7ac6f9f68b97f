"""webd on a machine with a real systemd: pages from inside its sandbox, its end and its return."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import booted
import pytest
import waiting
from units import again, frozen, started

WEBD = "webd@test"
PAGES = "http://127.0.0.1:5000"
FIRST_LINK = "/var/lib/webd/test/first-administrator"

#: Fetch $1, with $2 as a JSON body if it is there; prints the status and the body. The machine need not have curl.
_FETCH = """
import sys, urllib.error, urllib.request
body = sys.argv[2].encode() if len(sys.argv) > 2 else None
headers = {"Content-Type": "application/json"} if body else {"Accept": "text/html"}
request = urllib.request.Request(sys.argv[1], body, headers)
try:
    answer = urllib.request.urlopen(request, timeout=10)
except urllib.error.HTTPError as error:
    answer = error
sys.stdout.write(f"{answer.status}\\n{answer.read().decode()}")
"""


def fetch(machine: booted.Machine, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
    """The status and the text of a page, from inside."""
    words = [] if body is None else [json.dumps(body)]
    status, _, text = machine.say("/usr/bin/python3", "-c", _FETCH, f"{PAGES}{path}", *words).partition("\n")
    return int(status), text


def status(machine: booted.Machine) -> dict[str, Any]:
    """What webd says of itself, as an ordinary user sees it."""
    rows = [json.loads(line) for line in machine.say("observatory", "status", "--json", user="ann", ok=(155,)).splitlines()]
    (row,) = [row for row in rows if row["kind"] == "webd"]
    return row["status"]


def test_the_first_administrator_of_a_new_machine(site: booted.Machine, figures: list[str]) -> None:
    began = time.monotonic()
    started(site, WEBD)
    figures.append(f"{WEBD} active {time.monotonic() - began:.2f} s after systemctl start")
    code, page = fetch(site, "/login")
    assert code == 200
    for asset in re.findall(r'"(/static/[^"]+)"', page):
        assert fetch(site, asset)[0] == 200, asset
    assert "<form" in fetch(site, "/")[1], "the way to the login"
    assert fetch(site, "/api/v1/cameras")[0] == 401
    seen = status(site)
    assert (seen["state"], seen["needs_first_administrator"], seen["first_administrator_file"]) == ("serving", True, FIRST_LINK)
    assert site.run("cat", FIRST_LINK, user="ann", ok=None).returncode != 0
    link = site.say("cat", FIRST_LINK)
    assert link in "\n".join(site.journal(f"--unit={WEBD}")), "whoever may read the journal finds it"
    token = link.partition("token=")[2]
    made = {"token": token, "user": "anna", "password": "a long password"}
    assert fetch(site, "/api/v1/setup", made)[0] in (200, 201)
    assert fetch(site, "/api/v1/setup", made)[0] == 401, "it works once"
    assert not status(site)["needs_first_administrator"]
    modes = site.say("sh", "-c", "cd /var/lib/webd/test && stat --format=%a . webd.sqlite").split()
    assert modes == ["700", "600"]
    assert site.say("sh", "-c", f"grep 'Max open files' /proc/{site.pid(WEBD)}/limits").split()[3] == "8192"


def test_a_killed_gateway_is_back_with_its_users(site: booted.Machine, figures: list[str]) -> None:
    started(site, WEBD, "camerad@cam2")
    token = site.say("cat", FIRST_LINK).partition("token=")[2]
    assert fetch(site, "/api/v1/setup", {"token": token, "user": "anna", "password": "a long password"})[0] in (200, 201)
    old = site.pid(WEBD)
    site.run("kill", "-KILL", str(old))
    took_s = again(site, WEBD, old, 10)
    figures.append(f"{WEBD} active {took_s:.2f} s after kill -9")
    assert fetch(site, "/login")[0] == 200
    assert fetch(site, "/api/v1/session", {"user": "anna", "password": "a long password"})[0] == 200
    waiting.until(lambda: "camera/cam2" not in status(site)["daemons_away"], 15, "the camera to be seen again")
    site.run("systemctl", "stop", WEBD)
    assert (site.shows(WEBD, "Result"), site.shows(WEBD, "ExecMainStatus")) == ("success", "0")


def test_a_lost_administrators_password(site: booted.Machine) -> None:
    """Given anew by root, whether webd runs or not; nobody else may."""
    started(site, WEBD)
    token = site.say("cat", FIRST_LINK).partition("token=")[2]
    assert fetch(site, "/api/v1/setup", {"token": token, "user": "anna", "password": "a long password"})[0] in (200, 201)
    refused = site.run("observatory", "web", "reset-admin", user="ann", ok=None)
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    for command in (("is-active", WEBD), ("stop", WEBD)):
        site.run("systemctl", *command)
        given = json.loads(site.say("observatory", "web", "reset-admin", "--json"))
        started(site, WEBD)
        assert fetch(site, "/api/v1/session", given)[0] == 200
    assert fetch(site, "/api/v1/session", {"user": "anna", "password": "a long password"})[0] == 401


def test_a_frozen_gateway_is_replaced(site: booted.Machine, figures: list[str]) -> None:
    site.run("mkdir", "-p", "/run/systemd/system/webd@.service.d")
    site.write("/run/systemd/system/webd@.service.d/sooner.conf", "[Service]\nWatchdogSec=6\n")
    site.run("systemctl", "daemon-reload")
    try:
        started(site, WEBD)
        old = site.pid(WEBD)
        with frozen(site, old, "HTTP server's loop runs"):
            took_s = again(site, WEBD, old, 30)
        figures.append(f"{WEBD} active {took_s:.1f} s after its loop froze (watchdog 6 s)")
        assert fetch(site, "/login")[0] == 200
    finally:
        site.run("rm", "-r", "/run/systemd/system/webd@.service.d")
        site.run("systemctl", "daemon-reload")


def test_a_port_that_is_taken_is_said_once(site: booted.Machine) -> None:
    text = site.say("cat", "/etc/webd/test.json")
    started(site, WEBD)
    site.write("/etc/webd/other.json", text.replace("localhost_test5", "localhost_test6").replace("webd@test", "webd@other"))
    assert site.run("systemctl", "start", "webd@other", ok=None).returncode != 0
    assert site.shows("webd@other", "NRestarts") == "0"
    taken = "webd cannot listen on 127.0.0.1 port 5000: another program does already"
    # systemd may know of its end before journald has read what it said
    words = ("--quiet", "SYSLOG_IDENTIFIER=webd@other")
    waiting.until(lambda: any(taken in line for line in site.journal(*words)[-1:]), 10, "the last word in the journal")


@pytest.mark.parametrize("absent", ["uvloop"])
def test_pages_need_no_uvloop(site: booted.Machine, absent: str) -> None:
    """Newer Fedoras have no package of it."""
    site.run("mv", f"/opt/distribution/{absent}", "/opt/distribution/gone")
    try:
        started(site, WEBD)
        assert fetch(site, "/login")[0] == 200
        assert "there is no uvloop" in "\n".join(site.journal(f"_PID={site.pid(WEBD)}"))
        site.run("systemctl", "stop", WEBD)
        assert site.shows(WEBD, "Result") == "success"
    finally:
        site.run("mv", "/opt/distribution/gone", f"/opt/distribution/{absent}")
