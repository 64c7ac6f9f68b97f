"""`observatory run`, `check` and `status`."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import observatory
import psutil
import pytest
import waiting
from following import events_named
from vitals import Vitals

import observatory_common
from observatory_common.directory import Directory
from observatory_common.rpc.client import connect

COMMAND = [sys.executable, "-m", "observatory_cli.observatory"]
SHIPPED = Path(observatory_common.__file__).parent / "site"
GPIOD = "test_gpio"


class Site:
    """A simulated observatory in a folder, with a daemon on a free port."""

    def __init__(self, folder: Path) -> None:
        self.daemon = observatory.Daemon(folder)
        self.daemon.simulator_config_path.write_text("{}")
        config = json.loads(self.daemon.config_path.read_text())
        self.daemon.config_path.write_text(json.dumps({**config, "serial_port": "focusd-simulator/test"}))

    def add_web(self) -> int:
        """A gateway that shows the focuser; the port of its pages."""
        rpc_port, port = observatory.free_port(), observatory.free_port()
        registry = self.daemon.etc / "observatory" / "daemons.json"
        web = {"machine": "LocalHost", "host": self.daemon.host, "port": rpc_port}
        registry.write_text(json.dumps({**json.loads(registry.read_text()), "test_web": web}))
        config = {"daemon": "test_web", "log_name": "webd@test", "control_machines": ["LocalHost"]}
        config |= {"focusers": [observatory.NAME], "listen": {"port": port}}
        self.daemon.write("webd/test.json", config)
        return port

    def add_gpio(self) -> None:
        """The gpiod of the site that `make run` starts, with its board, under a name and port of its own."""
        for folder in ("gpiod", "gpiod-simulator"):
            shutil.copytree(SHIPPED / folder, self.daemon.etc / folder)
        config = self.daemon.etc / "gpiod" / "test.json"
        self.daemon.write("gpiod/test.json", {**json.loads(config.read_text()), "daemon": GPIOD})
        registry = self.daemon.etc / "observatory" / "daemons.json"
        entry = {"machine": "LocalHost", "port": observatory.free_port()}
        registry.write_text(json.dumps({**json.loads(registry.read_text()), GPIOD: entry}))

    @contextmanager
    def running(self, *arguments: str, **env: str) -> Iterator[Running]:
        """`observatory run`, until the context ends."""
        running = Running(self, arguments, env)
        try:
            yield running
        finally:
            running.close()


class Running:
    """A running `observatory run` and what it has said."""

    def __init__(self, site: Site, arguments: tuple[str, ...], env: dict[str, str]) -> None:
        self.output = ""
        self.process = subprocess.Popen(
            [*COMMAND, "run", "--site", str(site.daemon.etc), *arguments],
            env={**site.daemon.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.output += line

    def see(self, pattern: str, timeout_s: float = 30) -> re.Match[str]:
        """Wait for a pattern in the output."""
        return waiting.until(lambda: re.search(pattern, self.output), timeout_s, f"{pattern!r} in {self.output!r}")

    def child(self, module: str) -> psutil.Process:
        """The child that runs a module."""
        found = [c for c in psutil.Process(self.process.pid).children() if module in c.cmdline()]
        assert len(found) == 1
        return found[0]

    def end(self, number: int = signal.SIGINT) -> int:
        """Ask it to end; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(30)
        self._reader.join(10)
        return code

    def close(self) -> None:
        """End it if it runs."""
        self.end(signal.SIGTERM)
        self.process.stdout.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_run_introduces_itself_with_commands_that_can_be_pasted(site: Site) -> None:
    with site.running() as running:
        running.see(r"Ctrl-C ends it")
        assert re.search(rf"focusd@test +serves test_focuser on 127.0.0.1:{site.daemon.port}", running.output)
        assert re.search(r"focusd-simulator@test +simulated hardware", running.output)
        commands = re.findall(r"^  (\S*focus .*)$", running.output, re.MULTILINE)
        assert len(commands) == 3
        for command in commands:
            done = subprocess.run(
                command, shell=True, cwd="/", env=site.daemon.env, capture_output=True, text=True, timeout=60, check=False
            )
            assert (done.returncode, done.stderr) == (0, ""), command
        with site.daemon.connect() as focuser:
            assert focuser.report_status()["current_steps_1"] == 300


def test_commands_name_the_site_where_a_plain_shell_would_find_another(site: Site, tmp_path: Path) -> None:
    (tmp_path / "other" / "focusd").mkdir(parents=True)
    with site.running(OBSERVATORY_ETC=str(tmp_path / "other")) as running:
        running.see(r"Ctrl-C ends it")
        command = running.see(r"(OBSERVATORY_ETC=\S+ \S*focus status)")[1]
        env = {**site.daemon.env, "OBSERVATORY_ETC": str(tmp_path / "other")}
        done = subprocess.run(command, shell=True, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_run_tells_where_the_pages_are(site: Site) -> None:
    """With the link for the first administrator, which is another at each start until it has been used."""
    port = site.add_web()
    links = []
    for _ in range(2):
        with site.running() as running:
            running.see(r"Ctrl-C ends it")
            links.append(running.see(rf"In a browser:\n\n  (http://127.0.0.1:{port}/setup\?token=\S+)\n")[1])
            assert re.search(r"webd@test +127.0.0.1:\d+ +serving", run(site, "status").stdout)
            if len(links) == 2:
                address, _, token = links[1].partition("/setup?token=")
                made = {"token": token, "user": "anna", "password": "a long password"}
                assert httpx.get(links[1]).status_code == 200
                assert httpx.post(f"{address}/api/v1/setup", json={**made, "token": links[0][-len(token) :]}).status_code == 401
                assert httpx.post(f"{address}/api/v1/setup", json=made).is_success
    assert links[0] != links[1]
    with site.running() as running:
        running.see(rf"In a browser:\n\n  http://127.0.0.1:{port}\n\nIn a second terminal")
        assert "setup" not in running.output


def test_the_board_of_the_site_lives(site: Site) -> None:
    """Its door opens, its heater has current where that is looked for."""
    site.add_gpio()
    with site.running() as running:
        running.see(r"Ctrl-C ends it")
        with connect(GPIOD, directory=Directory.load(site.daemon.etc / "observatory")) as gpio:
            waiting.until(lambda: _state(gpio) == "ready", 30, "gpiod to have its pins")

            def pressed() -> bool:
                return any(event["source"] == "door" for event in events_named(gpio, "when_pressed"))

            waiting.until(pressed, 40, "the door to be opened")
            assert gpio.state("heater-sense")["value"] == 0
            gpio.invoke("call", "heater", "on")
            waiting.until(lambda: gpio.state("heater-sense")["value"] == 1, 10, "the heater's current")
        assert re.search(rf"gpiod@test +serves {GPIOD} on 127.0.0.1:\d+", running.output)
        assert re.search(r"gpiod-simulator@test +simulated hardware", running.output)


def test_run_says_that_the_port_of_the_pages_is_taken(site: Site) -> None:
    port = site.add_web()
    with socket.create_server(("127.0.0.1", port)), site.running() as running:
        running.see(r"Ctrl-C ends it")
        running.see(rf"webd cannot listen on 127.0.0.1 port {port}: another program does already")
        running.see(r"there are no pages: webd@test does not serve, why stands above")
        assert re.search(r"focusd@test .*(idle|connecting)", run(site, "status").stdout), "the others do"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_of_it_in_time_and_leaves_no_process(number: int, site: Site, machine_lag) -> None:
    with site.running() as running:
        running.see(r"Ctrl-C ends it")
        with site.daemon.connect() as focuser:
            waiting.until(lambda: _state(focuser) == "idle", 20, "the controller to be connected")
            focuser.confirm_position(1)
            focuser.set_focus(1, 5000)
        children = psutil.Process(running.process.pid).children(recursive=True)
        assert len(children) == 2
        began = time.monotonic()
        assert running.end(number) == 0
        assert time.monotonic() - began < 8 + machine_lag.seconds
        assert not [child for child in children if child.is_running()]
        assert re.search(r"job ended .*state=stopped", running.output)  # the daemon still had its controller
        assert running.output.index("job ended") < running.output.index("unplugged")


def test_the_second_start_is_quick(site: Site, machine_lag) -> None:
    with site.running() as running:
        running.see(r"Ctrl-C ends it")
    began = time.monotonic()
    with site.running() as running:
        running.see(r"Ctrl-C ends it")
        took_s = time.monotonic() - began
        started = [running.process, *psutil.Process(running.process.pid).children(recursive=True)]
        waited_s = sum(Vitals(process.pid).waited_s() for process in started)  # all of it since `began`
        assert took_s - waited_s < 5 + machine_lag.seconds, (took_s, waited_s)


def test_what_dies_is_started_again(site: Site) -> None:
    with site.running() as running:
        running.see(r"Ctrl-C ends it")
        for module in ("observatory_focusd", "observatory_focusd.simulator"):
            victim = running.child(module)
            victim.kill()
            running.see(r"has died \(exit code -9\); starting it again in 0.5 s")
            waiting.until(lambda m=module, v=victim: _replaced(running, m, v), 30, f"{module} to be back")
        with site.daemon.connect() as focuser:
            waiting.until(lambda: _state(focuser) == "idle", 30, "the observatory to be well again")


def _replaced(running: Running, module: str, victim: psutil.Process) -> bool:
    try:
        return running.child(module).pid != victim.pid
    except (AssertionError, psutil.NoSuchProcess):
        return False


def _state(focuser: Any) -> str | None:
    try:
        return focuser.report_status()["state"]
    except ConnectionError:
        return None


def test_kill_9_of_run_itself_ends_its_children_too(site: Site) -> None:
    with site.running() as running:
        running.see(r"Ctrl-C ends it")
        children = psutil.Process(running.process.pid).children(recursive=True)
        running.process.kill()
        waiting.until(lambda: not any(map(_lives, children)), 15, "the children to end")


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it has gone between the two questions
        return False


def test_a_bad_config_is_said_and_not_tried_again(site: Site) -> None:
    site.daemon.config_path.write_text('{"daemon": "test_focuser"}')
    with site.running() as running:
        assert running.process.wait(30) == 78
        running.see(r"test.json:1: \$\.serial_port: .*is missing")
        running.see(r"focusd@test has ended \(exit code 78\) and is not started again")


def test_a_folder_without_configs(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "run", "--site", str(tmp_path)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 78
    assert str(tmp_path) in done.stderr


def run(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], env=site.daemon.env, capture_output=True, text=True, timeout=60, check=False)


def test_check_asks_the_daemon_that_the_file_is_for(site: Site, tmp_path: Path) -> None:
    good = [
        str(site.daemon.config_path),
        str(site.daemon.simulator_config_path),
        str(site.daemon.etc / "observatory/daemons.json"),
    ]
    done = run(site, "check", *good)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = site.daemon.config_path.read_text()
    config = json.loads(lines)
    config["serial_baud"] = "9600"
    config["move_timout"] = config.pop("move_timeout")
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(config, indent=1))
    done = run(site, "check", "--kind", "focusd", good[0], str(bad))
    assert done.returncode == 78
    row = next(n for n, line in enumerate(bad.read_text().splitlines(), 1) if "serial_baud" in line)
    assert f'{bad}:{row}: $.serial_baud: "9600" is not' in done.stderr
    assert "$.move_timout: unknown key; did you mean move_timeout?" in done.stderr
    unknown = run(site, "check", str(bad))
    assert unknown.returncode == 64
    assert "--kind" in unknown.stderr
    assert run(site, "check").returncode == 64
    (site.daemon.etc / "observatory" / "daemons.json").write_text('{"x": {"machine": "Nowhere", "port": 1}}')
    done = run(site, "check", str(site.daemon.etc / "observatory" / "daemons.json"))
    assert done.returncode == 78
    assert "$.x.machine" in done.stderr


def test_a_module_in_the_folder_where_somebody_stands_is_not_run(site: Site, tmp_path: Path) -> None:
    for module in ("shutil", "queue", "jsonschema"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit(0)")
    config = tmp_path / "bad.json"
    config.write_text("{}")
    command = [*COMMAND, "check", "--kind", "focusd", str(config)]
    done = subprocess.run(command, cwd=tmp_path, env=site.daemon.env, capture_output=True, timeout=60, check=False)
    assert done.returncode == 78


def test_status_tells_of_a_folder_that_cannot_be_read(site: Site) -> None:
    (site.daemon.etc / "ftpd").write_text("no folder")
    rows = [json.loads(line) for line in run(site, "status", "--json").stdout.splitlines()]
    assert [(row["kind"], row["instance"]) for row in rows] == [("focusd", "test"), ("ftpd", None)]
    assert rows[1]["code"] == 46 and rows[1]["error"].endswith("ftpd cannot be read: Not a directory")
    shown = run(site, "status")
    assert shown.returncode != 0 and re.search(r"^ftpd +no answer .*cannot be read", shown.stdout, re.MULTILINE)


def test_status_shows_every_daemon_with_a_config_here(site: Site) -> None:
    other = site.daemon.etc / "focusd" / "other.json"
    other.write_text(site.daemon.config_path.read_text().replace("test_focuser", "localhost_test9"))
    with site.running() as running:
        other.unlink()
        running.see(r"Ctrl-C ends it")
        alone = run(site, "status")
        assert alone.returncode == 0
        assert re.search(rf"focusd@test +127.0.0.1:{site.daemon.port} +(idle|connecting)", alone.stdout)
        other.write_text("{}")
        both = run(site, "status")
        assert both.returncode == 46
        assert re.search(r"focusd@other .*no answer", both.stdout)
        other.unlink()
        rows = [json.loads(line) for line in run(site, "status", "--json").stdout.splitlines()]
        assert [(row["kind"], row["instance"], row["code"]) for row in rows] == [("focusd", "test", 0)]
        assert rows[0]["status"]["kind"] == "focusd"
    gone = run(site, "status")
    assert gone.returncode == 155
    assert re.search(r"focusd@test .*no answer", gone.stdout)


def test_help_and_usage(site: Site) -> None:
    assert "Commands:" in run(site).stdout
    for command in ("run", "check", "status"):
        assert run(site, command, "--help").returncode == 0
    assert run(site, "nonsense").returncode == 64
    assert run(site, "run", "--site", "/nonexistent").returncode == 64
