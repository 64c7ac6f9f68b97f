"""A USB camera without one: the kernel's answers to linuxpy's questions, and OpenCV's capture beside them.

Only the two calls that reach the kernel and the device are replaced, so that the libraries' own code runs.
"""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import dataclass, field
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
from linuxpy.video import device as linuxpy_device
from linuxpy.video import raw

IOC = linuxpy_device.IOC
TYPE = raw.CtrlType
ID = raw.ControlID
NODE = "/dev/null"  # a character device that everybody may open


@dataclass
class Control:
    """One control of the fake."""

    id: int
    name: str
    type: Any
    minimum: int
    maximum: int
    default: int
    flags: int = 0
    menu: dict[int, str] = field(default_factory=dict)
    value: int = 0


def usual_controls() -> list[Control]:
    """Those of an ordinary USB camera."""
    return [
        Control(ID.BRIGHTNESS, "Brightness", TYPE.INTEGER, -64, 64, 0),
        Control(ID.AUTO_WHITE_BALANCE, "White Balance, Automatic", TYPE.BOOLEAN, 0, 1, 1),
        Control(ID.GAIN, "Gain", TYPE.INTEGER, 0, 100, 4),
        Control(ID.POWER_LINE_FREQUENCY, "Power Line Frequency", TYPE.MENU, 0, 2, 1, 0, {0: "Off", 1: "50 Hz", 2: "60 Hz"}),
        Control(ID.WHITE_BALANCE_TEMPERATURE, "White Balance Temperature", TYPE.INTEGER, 2800, 6500, 4600),
        Control(ID.EXPOSURE_AUTO, "Auto Exposure", TYPE.MENU, 0, 3, 3, 0, {1: "Manual Mode", 3: "Aperture Priority Mode"}),
        Control(ID.EXPOSURE_ABSOLUTE, "Exposure Time, Absolute", TYPE.INTEGER, 1, 5000, 157),
        Control(ID.FOCUS_ABSOLUTE, "Focus, Absolute", TYPE.INTEGER, 0, 250, 0),
        Control(ID.FOCUS_AUTO, "Focus, Automatic Continuous", TYPE.BOOLEAN, 0, 1, 1),
    ]


class FakeDevice:
    """What the kernel would answer. `gone` makes every answer ENODEV; `writes` are (name, value) in order."""

    sizes: ClassVar = {raw.PixelFormat.YUYV: ((640, 480, 30),), raw.PixelFormat.MJPEG: ((640, 480, 60), (1280, 720, 30))}

    def __init__(self) -> None:
        self.controls = sorted(usual_controls(), key=lambda control: control.id)
        for control in self.controls:
            control.value = control.default
        self.writes: list[tuple[str, int]] = []
        self.gone = False

    def named(self, id: int) -> Control:
        """The control of an id; EINVAL as from the kernel."""
        for control in self.controls:
            if control.id == id:
                return control
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def ioctl(self, fd: Any, request: Any, *arguments: Any) -> Any:
        """In place of linuxpy's."""
        if self.gone:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        answer = getattr(self, f"_{request.name.lower()}", None)
        if answer is None:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        answer(arguments[0])
        return arguments[0]

    def _querycap(self, caps: Any) -> None:
        caps.driver, caps.card, caps.bus_info = b"uvcvideo", b"Fake Camera", b"usb-1"
        caps.capabilities = caps.device_caps = raw.Capability.VIDEO_CAPTURE | raw.Capability.STREAMING

    def _enum_fmt(self, wanted: Any) -> None:
        wanted.pixelformat = self._at(list(self.sizes), wanted.index)

    def _enum_framesizes(self, wanted: Any) -> None:
        width, height, _ = self._at(self.sizes[wanted.pixel_format], wanted.index)
        wanted.type = raw.Frmsizetypes.DISCRETE
        wanted.m1.discrete.width, wanted.m1.discrete.height = width, height

    def _enum_frameintervals(self, wanted: Any) -> None:
        rates = [r for w, h, r in self.sizes[wanted.pixel_format] if (w, h) == (wanted.width, wanted.height)]
        wanted.type = raw.Frmivaltypes.DISCRETE
        wanted.discrete.denominator = self._at(rates, wanted.index)
        wanted.discrete.numerator = 1

    def _query_ext_ctrl(self, wanted: Any) -> None:
        following = raw.ControlFlag.NEXT_CTRL | raw.ControlFlag.NEXT_COMPOUND
        before = wanted.id & ~int(following)
        control = self._at([c for c in self.controls if c.id > before], 0)
        wanted.id, wanted.type, wanted.name, wanted.flags = control.id, control.type, control.name.encode(), control.flags
        wanted.minimum, wanted.maximum, wanted.step = control.minimum, control.maximum, 1
        wanted.default_value, wanted.elem_size, wanted.elems = control.default, 4, 1

    def _querymenu(self, wanted: Any) -> None:
        menu = self.named(wanted.id).menu
        if wanted.index not in menu:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        wanted.name = menu[wanted.index].encode()

    def _g_ext_ctrls(self, wanted: Any) -> None:
        wanted.controls[0].value = self.named(wanted.controls[0].id).value

    def _s_ext_ctrls(self, wanted: Any) -> None:
        control, value = self.named(wanted.controls[0].id), wanted.controls[0].value
        if control.id == ID.EXPOSURE_ABSOLUTE and self.named(ID.EXPOSURE_AUTO).value != 1:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))  # as a real one, while its automatic is on
        assert control.minimum <= value <= control.maximum
        control.value = value
        self.writes.append((control.name, value))

    @staticmethod
    def _at(items: Any, index: int) -> Any:
        if index >= len(items):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return items[index]


class FakeCapture:
    """OpenCV's capture of the fake: a frame every 10 ms of the size asked for. `block` makes reads hang, `fail` end."""

    def __init__(self, block: threading.Event, fail: threading.Event) -> None:
        self._block, self._fail = block, fail
        self.properties: dict[int, float] = {cv2.CAP_PROP_FRAME_WIDTH: 640, cv2.CAP_PROP_FRAME_HEIGHT: 480}
        self.released = threading.Event()

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Always."""
        return True

    def set(self, name: int, value: float) -> bool:
        """Remember."""
        self.properties[name] = value
        return True

    def get(self, name: int) -> float:
        """What was remembered."""
        return self.properties.get(name, 0.0)

    def read(self) -> tuple[bool, np.ndarray | None]:
        """A grey frame."""
        while self._block.is_set():
            if self.released.wait(0.005):
                break
        if self._fail.wait(0.01):
            return False, None
        height, width = (int(self.get(name)) for name in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        return True, np.full((height, width, 3), 77, np.uint8)

    def release(self) -> None:
        """Let go."""
        self.released.set()


@dataclass
class Fake:
    """The kernel's part, the captures made so far, and the switches of the reads."""

    kernel: FakeDevice
    captures: list[FakeCapture]
    block: threading.Event
    fail: threading.Event


def install(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Put the fake in place of the device calls of both libraries."""
    fake = Fake(FakeDevice(), [], threading.Event(), threading.Event())

    def capture(*_: Any) -> FakeCapture:
        fake.captures.append(FakeCapture(fake.block, fake.fail))
        return fake.captures[-1]

    monkeypatch.setattr(linuxpy_device, "ioctl", fake.kernel.ioctl)
    monkeypatch.setattr(cv2, "VideoCapture", capture)
    return fake
