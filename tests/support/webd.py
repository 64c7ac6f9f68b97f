"""webd as a real process on a site of its own, with simulated cameras, focusers and GPIO as real processes behind it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cameras
import gpio_daemon
import httpx
import observatory
import waiting
from site_process import SiteProcess

from observatory_common.directory import Directory
from observatory_common.rpc.client import RemoteDaemon, connect

NAME = "test_web"
PASSWORD = "a long password"
ADMINISTRATOR = "anna"
#: All daemons of the tests take webd for a gateway, so that their audits name its users.
GATEWAY = {"gateway_machines": ["LocalHost"]}
#: Devices of a board, and its wiring.
GPIO: tuple[list[dict[str, Any]], list[dict[str, Any]]] = (
    [{"id": "lamp", "type": "LED", "pin": 17}, {"id": "door", "type": "Button", "pin": 27}],
    [{"type": "button", "pin": 27}],
)


class Webd(SiteProcess):
    """A webd for daemons that listen on ports of this machine: `daemons` is kind -> name -> (object, port).

    Files stand under `folder`; `config` is added to its config, of `listen` to its keys; None takes a key away.
    """

    kind = "webd"

    def __init__(self, folder: Path, daemons: Mapping[str, Mapping[str, tuple[str, int]]] | None = None, **config: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder)
        self.config_path = self.etc / "webd" / "test.json"
        self.state_folder = folder / "state" / "observatory" / "webd" / "test"
        self.rpc_port, self.port = observatory.free_port(), observatory.free_port()
        behind = {"camera": {}, "focuser": {}, "gpio": {}, **(daemons or {})}
        registry: dict[str, Any] = {NAME: {"machine": "LocalHost", "port": self.rpc_port}}
        for named in behind.values():
            for name, (object_name, port) in named.items():
                registry[name] = {"machine": "LocalHost", "object": object_name, "port": port}
        self.config: dict[str, Any] = {
            "daemon": NAME,
            "log_name": "webd@test",
            "control_machines": ["LocalHost"],
            **{f"{kind}s": list(named) for kind, named in behind.items()},
            **config,
            "listen": {"host": "127.0.0.1", "port": self.port, **config.get("listen", {})},
        }
        self.write("observatory/machines.json", {})
        self.write("observatory/daemons.json", registry)
        self.write("webd/test.json", {key: value for key, value in self.config.items() if value is not None})
        self.directory = Directory.load(self.etc / "observatory")

    # its process

    def start(self) -> None:
        """Start webd and wait until it serves."""
        self.spawn([sys.executable, "-m", "observatory_webd", str(self.config_path)])
        with self.connect() as web:
            waiting.until(lambda: (self.status_of(web) or {}).get("state") == "serving", 30, "webd to serve")

    def close(self) -> None:
        """End webd, which must end well and have logged no trace of a bug."""
        self.end_well()
        log = self.log()
        assert "Traceback" not in log and "internal error" not in log, log[-6000:]

    def log(self) -> str:
        """What webd has logged so far."""
        return "\n".join(self.log_lines())

    def connect(self) -> RemoteDaemon:
        """A client of its remote object."""
        return connect(NAME, directory=self.directory)

    # its users

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"{'https' if 'tls' in self.config else 'http'}://127.0.0.1:{self.port}"

    @property
    def first_token(self) -> str:
        """The token of the one-time link."""
        link = (self.state_folder / "first-administrator").read_text()
        found = re.search(r"token=(\S+)", link)
        assert found is not None, link
        return found[1]

    def browser(self, **options: Any) -> Browser:
        """Somebody who is not logged in; to be closed."""
        return Browser(base_url=self.url, timeout=30, **options)

    def administrator(self) -> Browser:
        """The first administrator, made now, or logged in if there is one."""
        browser = self.browser()
        if (self.state_folder / "first-administrator").exists():
            answer = browser.post(
                "/api/v1/setup", json={"token": self.first_token, "user": ADMINISTRATOR, "password": PASSWORD}
            )
            browser.remember(answer)
        else:
            browser.log_in(ADMINISTRATOR)
        return browser

    def user(self, name: str, role: str, password: str = PASSWORD) -> Browser:
        """A new user of this role, who has changed the password already and is logged in."""
        with self.administrator() as administrator:
            first = "given by somebody"
            administrator.post("/api/v1/users", json={"user": name, "role": role, "password": first}).raise_for_status()
        browser = self.browser()
        browser.log_in(name, first)
        answer = browser.post("/api/v1/password", json={"present": first, "new": password})
        browser.remember(answer)
        return browser


class Browser(httpx.Client):
    """A client with cookies that sends the login's CSRF token, as a page does."""

    def __enter__(self) -> Browser:
        return self  # httpx's own lets nobody in who has sent a request before

    def __exit__(self, *_: object) -> None:
        self.close()

    def log_in(self, user: str, password: str = PASSWORD) -> None:
        """Log in."""
        self.remember(self.post("/api/v1/session", json={"user": user, "password": password}))

    def remember(self, answer: httpx.Response) -> None:
        """Send the CSRF token of this answer from now on."""
        answer.raise_for_status()
        self.headers["X-CSRF-Token"] = answer.json()["csrf_token"]


@contextmanager
def alone(folder: Path, *, administrator: bool = True, **config: Any) -> Iterator[Webd]:
    """A webd without daemons, so that whatever is allowed finds nothing to do; with its first administrator, or without."""
    web = Webd(folder, **config)
    web.start()
    try:
        if administrator:
            web.administrator().close()
        yield web
    finally:
        web.close()


@contextmanager
def running(
    folder: Path,
    *,
    cameras_named: Sequence[str] = (),
    focusers_named: Sequence[str] = (),
    gpios_named: Mapping[str, tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]] | None = None,
    camera_config: Mapping[str, Any] | None = None,
    **config: Any,
) -> Iterator[Rig]:
    """A webd with these daemons behind it, each a real process on a simulated device; `gpios_named`: devices and wiring."""
    with ExitStack() as stack:
        rig = Rig()
        behind: dict[str, dict[str, tuple[str, int]]] = {"camera": {}, "focuser": {}, "gpio": {}}
        for name in cameras_named:
            camera = cameras.Camerad(folder / name, **{**cameras.FAST, **GATEWAY, **(camera_config or {})})
            stack.callback(camera.end)
            camera.start()
            rig.cameras[name] = camera
            behind["camera"][name] = (cameras.NAME, camera.port)
        for name in focusers_named:
            focuser = stack.enter_context(observatory.daemon(folder / name, **GATEWAY))
            rig.focusers[name] = focuser
            behind["focuser"][name] = (observatory.NAME, focuser.port)
        for name, (devices, wiring) in (gpios_named or {}).items():
            gpio = stack.enter_context(gpio_daemon.daemon(folder / name, devices, wiring, **GATEWAY))
            rig.gpios[name] = gpio
            behind["gpio"][name] = (gpio_daemon.NAME, gpio.port)
        rig.web = Webd(folder / "web", behind, **config)
        stack.callback(rig.web.close)
        rig.web.start()
        waiting.until(rig.all_reachable, 20, "webd to see its daemons")
        yield rig


class Rig:
    """webd and what is behind it."""

    web: Webd

    def __init__(self) -> None:
        self.cameras: dict[str, cameras.Camerad] = {}
        self.focusers: dict[str, observatory.Daemon] = {}
        self.gpios: dict[str, gpio_daemon.Gpiod] = {}

    def all_reachable(self) -> bool:
        """Whether webd has heard from all of them."""
        with self.web.connect() as web:
            return not web.report_status()["daemons_away"]
