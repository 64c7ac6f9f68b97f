"""Pulses for a servo: from the kernel's hardware PWM, or from the PWM of a pin factory."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Protocol

from observatory_common.errors import NotConnected

_CHANNELS_2 = {12: 0, 18: 0, 13: 1, 19: 1}  # BCM2835 to BCM2711: two channels, on two pins each
_CHANNELS_4 = {12: 0, 13: 1, 18: 2, 19: 3}  # RP1 (Raspberry Pi 5): four channels
#: The PWM of the header's pins by the name of its device: a Pi 5 has two others, and chip numbers change with the kernel.
_HEADERS = {
    "1f00098000.pwm": _CHANNELS_4,  # Pi 5
    "fe20c000.pwm": _CHANNELS_2,  # Pi 4
    "3f20c000.pwm": _CHANNELS_2,  # Pi 2, 3 and Zero 2
    "2020c000.pwm": _CHANNELS_2,  # Pi 1 and Zero
}
_EXPORT_S = 2.0
_PINCTRL_S = 5.0
_OVERLAY = "is there dtoverlay=pwm (or pwm-2chan) for this pin in config.txt?"


class Pulses(Protocol):
    """Repeated pulses on one line."""

    def set(self, width_s: float | None) -> None:
        """Pulses of this length from now on; None: no pulses."""

    def close(self, keep: bool = False) -> None:
        """Release the line, pulses going on with `keep`."""


class PinPulses:
    """By the PWM of a pin factory of gpiozero."""

    def __init__(self, factory: Any, pin: int, frame_s: float) -> None:
        from gpiozero import PWMOutputDevice

        self._frame_s = frame_s
        self._device = PWMOutputDevice(pin, frequency=round(1 / frame_s), pin_factory=factory)

    def set(self, width_s: float | None) -> None:
        """Pulses of this length from now on; None: no pulses."""
        self._device.value = 0.0 if width_s is None else width_s / self._frame_s

    def close(self, keep: bool = False) -> None:
        """Release the line (a factory that keeps levels was told so before)."""
        self._device.close()


class SysfsPulses:
    """By a PWM chip of the kernel under `folder` (/sys/class/pwm). Raises NotConnected if the pin has none."""

    def __init__(self, folder: Path, pin: int, frame_s: float) -> None:
        chip, channel = _chip_of(folder, pin)
        _check_mux(pin)
        self._chip = chip
        self._channel = channel
        self._line = chip / f"pwm{channel}"
        self._taken: int | None = None
        try:
            if not self._line.exists():
                (chip / "export").write_text(str(channel))
                self._wait_for_line()
            self._taken = self._take(pin)
            self._write("period", frame_s)
        except NotConnected:
            raise
        except OSError as error:
            if self._taken is not None:
                os.close(self._taken)
            reason = f"GPIO{pin}: {self._line} could not be set up: {error.strerror}"
            raise NotConnected(reason, value=pin, allowed="a hardware PWM that this user may write to") from error

    def _take(self, pin: int) -> int:
        """Two pins may be led by one channel (of a Pi 4: 12 and 18, 13 and 19); only one device can have it.

        Answers with what holds it until it is closed.
        """
        taken = os.open(self._line / "period", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(taken, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(taken)
            message = f"GPIO{pin}: its PWM channel, {self._line}, drives another pin already"
            raise NotConnected(message, value=pin, allowed="a pin with a channel of its own") from None
        return taken

    def set(self, width_s: float | None) -> None:
        """Pulses of this length from now on; None: no pulses."""
        if width_s is None:
            (self._line / "enable").write_text("0")
            return
        self._write("duty_cycle", width_s)
        (self._line / "enable").write_text("1")

    def close(self, keep: bool = False) -> None:
        """Release the line, pulses going on with `keep`."""
        taken, self._taken = self._taken, None
        if taken is not None:
            os.close(taken)
        if not keep:
            (self._line / "enable").write_text("0")
            (self._chip / "unexport").write_text(str(self._channel))

    def _write(self, name: str, seconds: float) -> None:
        (self._line / name).write_text(str(round(seconds * 1e9)))

    def _wait_for_line(self) -> None:
        """udev gives the group its rights a moment after the export."""
        deadline_s = time.monotonic() + _EXPORT_S
        while not _writable(self._line / "period"):
            if time.monotonic() > deadline_s:
                raise TimeoutError(110, f"did not become writable within {_EXPORT_S:g} s")
            time.sleep(0.02)


def _writable(path: Path) -> bool:
    try:
        with path.open("r+"):
            return True
    except OSError:
        return False


def _chip_of(folder: Path, pin: int) -> tuple[Path, int]:
    """The PWM chip of the header and the pin's channel of it."""
    found: list[str] = []
    for chip in sorted(folder.glob("pwmchip*")):
        device = (chip / "device").resolve().name
        channels = _HEADERS.get(device, {})
        if pin in channels:
            return chip, channels[pin]
        found.append(f"{chip.name}: {device}")
    seen = ", ".join(found) or "none"
    message = f"GPIO{pin} has no hardware PWM under {folder} (found {seen}): {_OVERLAY}"
    raise NotConnected(message, value=pin, allowed="GPIO12, 13, 18, 19")


def _check_mux(pin: int) -> None:
    """A chip may be there while the pin is not switched to it; `pinctrl` knows, where it is installed."""
    program = shutil.which("pinctrl")
    if program is None:
        return
    try:
        found = subprocess.run([program, "get", str(pin)], capture_output=True, text=True, timeout=_PINCTRL_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotConnected(f"GPIO{pin}: pinctrl cannot say what it does: {error}", value=pin) from error
    if "PWM" not in found.stdout:
        raise NotConnected(f"GPIO{pin} is not a PWM pin ({found.stdout.strip()}): {_OVERLAY}", value=pin)
