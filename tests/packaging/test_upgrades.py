"""A later version over this one, this one over the later, nothing left after the last, and clients of another version."""

from __future__ import annotations

import json
from collections.abc import Callable

import booted
import waiting

SIMULATOR, FOCUSD = "focusd-simulator@test", "focusd@test"
EDITED = "/etc/focusd/test.json"


def status(machine: booted.Machine) -> dict:
    """The status of focusd, once it is idle."""

    def idle() -> dict | None:
        done = machine.run("focus", "json", user="ann", ok=None)
        seen = json.loads(done.stdout) if done.returncode == 0 else {}
        return seen if seen.get("state") == "idle" else None

    return waiting.until(idle, 15, "focusd with its controller") or {}


def starts(machine: booted.Machine) -> int:
    """How often focusd has been started since the machine has booted."""
    return sum(line.startswith(f"Started {FOCUSD}.service") for line in machine.journal(f"--unit={FOCUSD}"))


def in_use(machine: booted.Machine) -> None:
    """A site in use: one enabled focuser at 60 steps, whose config somebody has edited."""
    machine.write(EDITED, machine.say("cat", EDITED).replace('"idle_loop_delay": 5', '"idle_loop_delay": 1'))
    machine.run("systemctl", "enable", "--now", SIMULATOR, FOCUSD)
    status(machine)
    machine.run("focus", "confirm", "1", "--yes", user="ann")
    machine.run("focus", "set", "1", "60", user="ann")


def test_upgrade_and_downgrade_keep_what_is_theirs(site: booted.Machine, now, later) -> None:
    in_use(site)
    edited, controller, before = site.say("cat", EDITED), site.pid(SIMULATOR), starts(site)
    site.run("rpm", "--upgrade", "--nodeps", *(f"/opt/later/{path.name}" for path in later.files()))
    seen = status(site)
    assert seen["software_version"] == later.version
    assert (seen["current_steps_1"], seen["position_state_1"]) == (60, "confirmed")
    assert starts(site) == before + 1
    assert site.pid(SIMULATOR) == controller  # the controller has not lost its power
    assert site.say("cat", EDITED) == edited
    assert '"idle_loop_delay": 4' in site.say("cat", f"{EDITED}.rpmnew")
    assert '"seed": 3' in site.say("cat", "/etc/camerad/cam2.json")  # nobody had edited that one
    assert site.say("systemctl", "is-enabled", FOCUSD) == "enabled"

    site.run("rpm", "--upgrade", "--oldpackage", "--nodeps", *(f"/opt/now/{path.name}" for path in now.files()))
    seen = status(site)
    assert seen["software_version"] == now.version
    assert (seen["current_steps_1"], seen["position_state_1"]) == (60, "confirmed")
    assert starts(site) == before + 2
    assert site.say("cat", EDITED) == edited
    site.run("focus", "set", "1", "50", user="ann")
    site.run("rm", f"{EDITED}.rpmnew")


def test_an_erased_suite_leaves_edited_configs_and_data(site: booted.Machine, added: Callable[[], set[str]]) -> None:
    in_use(site)
    assert {"/usr/share/zsh/site-functions/_focus", "/usr/lib/firewalld/services/observatory-localhost_test.xml"} <= added()
    site.run("rpm", "--erase", "--nodeps", *site.say("rpm", "--query", "--all", "*observatory*").split())
    assert not site.is_active(FOCUSD)
    assert not site.is_active(SIMULATOR)
    left = added()
    data = {name for name in left if name.startswith("/var/lib/focusd")}
    accounts = {f"/etc/{name}{end}" for name in ("passwd", "shadow", "group", "gshadow") for end in ("", "-")}
    # On Fedora and EL these are of the system's packages; Debian's rpm and its macros have nobody who owns them.
    theirs = {"/usr/share/licenses"}
    assert left - data - accounts - theirs == {"/etc/focusd", f"{EDITED}.rpmsave"}
    assert data  # where its motors stand is no file of ours
    assert '"idle_loop_delay": 1' in site.say("cat", f"{EDITED}.rpmsave")


def test_clients_and_servers_of_two_versions(site: booted.Machine, now, later, figures: list[str]) -> None:
    site.run("systemctl", "start", SIMULATOR, FOCUSD)
    status(site)
    unpack = " && ".join(
        f"rpm2cpio /opt/later/{later.file(name).name} | cpio --extract --make-directories --quiet"
        for name in ("python3-observatory-common", "observatory-client")
    )
    site.run("sh", "-c", f"mkdir /opt/other && cd /opt/other && {unpack}")
    try:
        other = {"PYTHONPATH": "/opt/other/usr/lib/python3/dist-packages"}
        assert site.say("/usr/bin/python3", "/opt/other/usr/bin/focus", "--version", environment=other).endswith(later.version)
        assert "Channel 1" in site.say("/usr/bin/python3", "/opt/other/usr/bin/focus", "status", environment=other)

        ask = "from observatory_common.rpc.client import connect; connect('localhost_test').focus_by_thought()"
        missing = site.run("/usr/bin/python3", "-c", ask, environment=other, ok=None).stderr.splitlines()[-1]
        figures.append(f"a method of another version: {missing}")
        assert "the daemon has no method 'focus_by_thought'" in missing
        assert f"localhost_test has version {now.version}, this program " in missing

        # One that speaks otherwise altogether: Pyro5's own serializer.
        ask = "import observatory_common, Pyro5.api; Pyro5.api.Proxy('PYRO:localhost_test@127.0.0.1:9000').report_status()"
        refused = site.run("/usr/bin/python3", "-c", ask, ok=None).stderr.splitlines()[-1]
        figures.append(f"another serializer: {refused}")
        assert "only msgpack" in refused
    finally:
        site.run("rm", "-r", "/opt/other")
