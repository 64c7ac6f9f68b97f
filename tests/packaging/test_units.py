"""The units as files: what systemd thinks of them, and how much of the machine a broken daemon could reach."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "etc" / "systemd"

#: The highest exposure that each may have, from 0 (nothing) to 10 (everything). A lower one that works is welcome.
EXPOSURE = {
    "focusd@.service": 1.5,
    "camerad@.service": 1.6,  # ZeroMQ sets the policy of its threads
    "gpiod@.service": 1.5,
    "ftpd@.service": 1.2,
    "webd@.service": 1.2,
    "focusd-simulator@.service": 0.5,
    "gpiod-simulator@.service": 0.5,
}
#: What is asked of any other.
HIGHEST = 2.0

units = pytest.mark.parametrize("unit", sorted(UNITS.glob("*@.service")), ids=lambda path: path.name)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze (Debian: systemd)")
    return subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False)


@units
def test_exposure(unit: Path) -> None:
    shown = analyze("security", "--offline=true", unit).stdout
    level = re.search(r"Overall exposure level for .*: ([0-9.]+)", shown)
    assert level is not None, shown
    assert float(level[1]) <= EXPOSURE.get(unit.name, HIGHEST), shown


@units
def test_systemd_understands_it(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name.replace("@", "@test")
    copy.write_text(re.sub(r"/usr/bin/\S+ \S+", "/bin/true", unit.read_text()))
    shutil.copy(UNITS / "observatory.target", tmp_path)
    done = analyze("verify", "--man=no", copy)
    assert (done.returncode, done.stderr) == (0, "")


@units
def test_house_rules(unit: Path) -> None:
    text = unit.read_text()
    kind = unit.name.removesuffix("@.service")
    simulated = kind.endswith("-simulator")
    for line in (
        f"ExecStart=/usr/bin/{kind} /etc/{kind}/%i.json",
        "User=observatory",
        "Restart=on-failure",
        "RestartPreventExitStatus=78",  # a bad config does not mend itself
        f"StateDirectory={kind}/%i",
        f"RuntimeDirectory=observatory/{kind}" if simulated else f"RuntimeDirectory={kind}/%i",
        f"ConfigurationDirectory={kind}",
        "SyslogIdentifier=%p@%i",
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "MemoryDenyWriteExecute=yes",
    ):
        assert f"\n{line}\n" in text, line
    assert "\nDevicePolicy=closed\n" in text or "\nPrivateDevices=yes\n" in text
    assert ("\nType=notify\n" in text) is not simulated
    assert ("\nWatchdogSec=" in text) is not simulated
    assert ("\nPartOf=observatory.target\n" in text) is not simulated
    assert "StartLimitIntervalSec=" in text
    assert not re.search(r"^(Requires|BindsTo|After)=.*\.device", text, re.MULTILINE)  # the device may come later


def test_each_daemon_has_its_own_devices_alone() -> None:
    allowed = {
        unit.name: set(re.findall(r"^DeviceAllow=(\S+) rw$", unit.read_text(), re.MULTILINE))
        for unit in UNITS.glob("*@.service")
    }
    assert allowed["focusd@.service"] == {"char-ttyACM", "char-ttyUSB", "char-pts"}
    assert allowed["camerad@.service"] == {"char-video4linux", "char-media", "char-dma_heap", "char-alsa"}
    assert allowed["gpiod@.service"] == {"char-gpiochip"}
    assert allowed["focusd-simulator@.service"] == {"char-pts"}
    for unit in ("gpiod-simulator@.service", "ftpd@.service", "webd@.service"):
        assert allowed[unit] == set()


def test_what_gpiod_and_camerad_need_beside_their_devices() -> None:
    gpiod = (UNITS / "gpiod@.service").read_text()
    for line in (  # lgpio writes into its working folder; /sys/class/pwm leads to the other
        "RuntimeDirectory=gpiod/%i",
        "WorkingDirectory=%t/gpiod/%i",
        "Environment=LG_WD=%t/gpiod/%i",
        "ReadWritePaths=-/sys/devices/platform",
    ):
        assert f"\n{line}\n" in gpiod, line
    assert not re.search(r"^ProcSubset=", gpiod, re.MULTILINE)  # it would hide /proc/device-tree
    families = re.findall(r"^RestrictAddressFamilies=(.*)$", (UNITS / "camerad@.service").read_text(), re.MULTILINE)
    assert [set(line.split()) for line in families] == [{"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"}]  # udev's word


def test_sysusers_makes_every_group_that_a_unit_names(tmp_path: Path) -> None:
    conf = UNITS.parent / "sysusers" / "observatory.conf"
    made = set(re.findall(r"^[gu] (\S+)", conf.read_text(), re.MULTILINE))
    for unit in UNITS.glob("*@.service"):
        for groups in re.findall(r"^SupplementaryGroups=(.*)$", unit.read_text(), re.MULTILINE):
            assert set(groups.split()) <= made, unit.name
    if shutil.which("systemd-sysusers") is None:
        pytest.skip("needs systemd-sysusers (Debian: systemd)")
    (tmp_path / "etc").mkdir()
    done = subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", conf], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "observatory:x:" in (tmp_path / "etc" / "passwd").read_text()
