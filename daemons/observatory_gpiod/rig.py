"""The pin factory and the devices on it: opened, opened again when the pins come back, brought to rest, closed."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from observatory_common.errors import Blocked, CommandFailed, DeviceLost, NotConnected, NotDisconnected, ObservatoryError
from observatory_gpiod import factories
from observatory_gpiod.config import GpiodConfig
from observatory_gpiod.devices.base import Device, Hooks, Position, hardware
from observatory_gpiod.devices.making import make
from observatory_gpiod.devices.output import Output

log = logging.getLogger("gpiod.rig")

RETRY_S = 1.0
_NEVER_SEEN = Position(None, certain=False)
_TURN_WITHIN_S = 8.0
_REST_WITHIN_S = 6.0
_REST_AGAIN_S = 0.2
_FREE_WITHIN_S = 1.0
_SYSFS_PWM = Path("/sys/class/pwm")


class Rig:
    """All devices of a config. One thread opens them and looks after them; the devices themselves are called by anybody.

    `state` is `connecting` (the pins cannot be had yet, or are being opened), `ready`, `partial` (a device could not be opened:
    `errors` says which, and why), or `closed`.
    """

    def __init__(self, config: GpiodConfig, hooks: Hooks, position: Callable[[str], Position | None], instance: str) -> None:
        sysfs_pwm = None if config.pin_factory == "simulated" else _SYSFS_PWM
        self.devices: Mapping[str, Device] = {device.id: make(device, hooks, sysfs_pwm) for device in config.devices}
        self.last_error: str | None = None
        self.errors: dict[str, str] = {}
        self._config = config
        self._position = position
        self._instance = instance
        self._factory: Any = None
        self._wanted = True
        self._turn = threading.Lock()  # one at a time opens or closes; bounded, see _in_turn
        self._wake = threading.Event()
        self._ending = False
        self._progress_s = time.monotonic()
        self._thread = threading.Thread(target=self._look_after, name="gpio-rig", daemon=True)

    @property
    def state(self) -> str:
        """`connecting`, `ready`, `partial` or `closed`."""
        if not self._wanted:
            return "closed"
        if self._factory is None or self._loss() is not None:
            return "connecting"
        if any(not device.is_open and device.id not in self.errors for device in self.devices.values()):
            return "connecting"  # it is about to be opened
        return "partial" if self.errors else "ready"

    def check(self) -> None:
        """Raise DeviceLost if the pins are, although the devices may not know it yet."""
        error = self._loss()
        if error is not None:
            raise error

    def start(self) -> None:
        """Begin to open everything."""
        self._progress_s = time.monotonic()
        self._thread.start()

    def last_progress(self) -> float:
        """When the thread last showed life, on the monotonic clock."""
        return self._progress_s

    def open(self) -> None:
        """Open everything now. Raises NotDisconnected if that is wanted already, CommandFailed if it does not succeed."""
        with self._in_turn():
            if self._ending:
                raise NotConnected("gpiod is ending")
            if self._wanted:
                raise NotDisconnected("the pins are in use already, or wait for their board")
            self._wanted = True
            self._open_what_is_not()
            if self.state != "ready":
                raise CommandFailed(f"not all could be opened, and is tried again: {self.last_error}")

    def close(self) -> None:
        """Bring the outputs to their states at the stop, and free all pins until `open`. Raises NotConnected if closed."""
        with self._in_turn():
            if not self._wanted:
                raise NotConnected("the pins are free already")
            self._wanted = False
            self._close_all(_REST_WITHIN_S)

    def all_off(self, cause: str) -> tuple[list[str], dict[str, str]]:
        """Set every output to off, all at once. Answers which are, and of the others why they are not. Raises NotConnected."""
        if not self._wanted:
            raise NotConnected("the pins are free: nothing is switched until initialize")
        outputs = [device for device in self.devices.values() if isinstance(device, Output)]
        failed = {output.id: f"{output.id} is not open" for output in outputs if not output.is_open}
        failed |= each({it.id: partial(it.switch_off, cause) for it in outputs if it.is_open}, _REST_WITHIN_S)
        return [output.id for output in outputs if output.id not in failed], failed

    def end(self, deadline_s: float) -> None:
        """As `close`, for good, within about `deadline_s` seconds; ends the thread. The outputs come first."""
        until = time.monotonic() + deadline_s
        self._ending = True
        self._wake.set()
        self._wanted = False
        has_turn = self._turn.acquire(timeout=deadline_s / 2)
        try:
            self._close_all(until - time.monotonic())
        finally:
            if has_turn:
                self._turn.release()
        if self._thread.is_alive():
            self._thread.join(max(until - time.monotonic(), 0.1))

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=_TURN_WITHIN_S):
            raise Blocked(f"the pins are being opened or closed, for more than {_TURN_WITHIN_S:g} s")
        try:
            yield
        finally:
            self._turn.release()

    def _look_after(self) -> None:
        while not self._ending:
            self._progress_s = time.monotonic()
            if self._turn.acquire(timeout=RETRY_S):
                try:
                    if self._wanted and not self._ending:
                        self._open_what_is_not()
                finally:
                    self._turn.release()
            self._wake.wait(RETRY_S)

    def _loss(self) -> DeviceLost | None:
        lost: str | None = getattr(self._factory, "lost", None)
        return None if lost is None else DeviceLost(f"the pins of {self._config.pin_factory} are lost: {lost}")

    def _open_what_is_not(self) -> None:
        error = self._loss()
        if error is not None:
            self._complain(str(error))
            self._drop(error)
        if self._factory is None:
            try:
                self._factory = self._make_factory()
            except ObservatoryError as error:
                self._complain(str(error))
                return
            log.info("the pins of %s are there", self._config.pin_factory)
        for device in self.devices.values():
            if not self._ending:
                self._look_after_device(device)

    def _look_after_device(self, device: Device) -> None:
        try:
            device.look_after()
            if device.broken is not None:
                self._complain(device.broken)
                device.close(keep=True)
            if not device.is_open:
                device.open(self._factory, self._position(device.id) or _NEVER_SEEN)
            self.errors.pop(device.id, None)
        except ObservatoryError as error:
            self.errors[device.id] = str(error)
            self._complain(str(error))

    def _make_factory(self) -> Any:
        from gpiozero.exc import DistanceSensorNoEcho

        # a target that is out of reach: the state says so, in null
        warnings.filterwarnings("ignore", category=DistanceSensorNoEcho)
        config = self._config
        options: dict[str, Any] = {}
        if config.simulator_socket is not None:
            options = {"socket": config.simulator_socket, "name": f"gpiod@{self._instance}"}
        elif config.chip_label is not None:
            options = {"chip_label": config.chip_label}
        return factories.make(config.pin_factory, options)

    def _complain(self, message: str) -> None:
        if message != self.last_error:
            log.error("%s", message)
        self.last_error = message

    def _drop(self, error: DeviceLost) -> None:
        """Close all on pins that are gone."""
        each({device.id: partial(device.abandon, error) for device in self.devices.values()}, _REST_WITHIN_S)
        self._close_factory(_FREE_WITHIN_S)

    def _close_all(self, deadline_s: float) -> None:
        """States first, for all devices, then the pins."""
        began_s = time.monotonic()
        devices = self.devices.values()
        rested_s = began_s + deadline_s * 0.6
        failed = each({device.id: partial(_bring_to_rest, device, rested_s) for device in devices}, deadline_s * 0.6)
        left_s = began_s + deadline_s * 0.9 - time.monotonic()
        failed |= each({device.id: device.close for device in devices}, max(left_s, 0.2))
        for message in failed.values():
            self._complain(message)
        self._close_factory(max(began_s + deadline_s - time.monotonic(), 0.2))

    def _close_factory(self, within_s: float) -> None:
        factory, self._factory = self._factory, None
        self.errors.clear()
        if factory is not None:
            for message in each({"the pin factory": partial(_free, factory)}, within_s).values():
                self._complain(message)


def _bring_to_rest(device: Device, until_s: float) -> None:
    """To the state at the stop; what is refused is tried again until then (of time.monotonic())."""
    while True:
        try:
            device.prepare_close()
            return
        except CommandFailed:
            if time.monotonic() + _REST_AGAIN_S > until_s:
                raise
        time.sleep(_REST_AGAIN_S)


def _free(factory: Any) -> None:
    with hardware("the pin factory", "be closed"):
        factory.close()


def each(actions: Mapping[str, Callable[[], object]], within_s: float) -> dict[str, str]:
    """Do something for each name, all at the same time; what went wrong with each, after at most `within_s` seconds.

    What is late goes on in its thread.
    """
    if not actions:
        return {}
    pool = ThreadPoolExecutor(len(actions), "gpio-each")
    attempts: dict[Future[object], str] = {pool.submit(action): name for name, action in actions.items()}
    pool.shutdown(wait=False)
    _, late = wait(attempts, within_s)
    failed: dict[str, str] = {}
    for attempt, name in attempts.items():
        error = TimeoutError(f"{name} takes more than {within_s:.1f} s") if attempt in late else attempt.exception()
        if error is not None:
            failed[name] = str(error)
            if not isinstance(error, ObservatoryError | TimeoutError):
                failed[name] = f"{name}: {type(error).__name__}: {error}"
                log.error("an internal error with %s", name, exc_info=error)
    return failed
