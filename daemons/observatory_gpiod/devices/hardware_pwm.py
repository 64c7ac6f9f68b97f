"""Pulses for a servo: from the kernel's hardware PWM, or from the PWM of a pin factory."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Protocol

from observatory_common.errors import NotConnected

_CHANNELS_2 = {12: 0, 18: 0, 13: 1, 19: 1}  # BCM2835 to BCM2711: two channels, on two pins each
_CHANNELS_4 = {12: 0, 13: 1, 18: 2, 19: 3}  # RP1 (Raspberry Pi 5): four channels
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
        try:
            if not self._line.exists():
                (chip / "export").write_text(str(channel))
                self._wait_for_line()
            self._write("period", frame_s)
        except OSError as error:
            reason = f"GPIO{pin}: {self._line} could not be set up: {error.strerror}"
            raise NotConnected(reason, value=pin, allowed="a hardware PWM that this user may write to") from error

    def set(self, width_s: float | None) -> None:
        """Pulses of this length from now on; None: no pulses."""
        if width_s is None:
            (self._line / "enable").write_text("0")
            return
        self._write("duty_cycle", width_s)
        (self._line / "enable").write_text("1")

    def close(self, keep: bool = False) -> None:
        """Release the line, pulses going on with `keep`."""
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
    for chip in sorted(folder.glob("pwmchip*")):
        try:
            count = int((chip / "npwm").read_text())
        except (OSError, ValueError):
            continue
        channels = {2: _CHANNELS_2, 4: _CHANNELS_4}.get(count, {})
        if pin in channels:
            return chip, channels[pin]
    raise NotConnected(f"GPIO{pin} has no hardware PWM under {folder}: {_OVERLAY}", value=pin, allowed="GPIO12, 13, 18, 19")


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
