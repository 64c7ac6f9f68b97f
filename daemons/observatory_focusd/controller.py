"""The controller behind an open link: each method is a bounded exchange, verified by reading back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from observatory_common.errors import CommandFailed, DeviceLost
from observatory_focusd import protocol
from observatory_focusd.link import SerialLink, Silence, never
from observatory_focusd.protocol import Firmware, Reading

log = logging.getLogger("focusd.controller")

#: The controller answers within milliseconds; half a second of silence means that the command or its reply was lost.
REPLY_TIMEOUT_S = 0.5
#: A board that resets when its port is opened is silent for about two seconds.
_WAKE_UP_S = 3.0
_TEMPERATURE_TIMEOUT_S = 1.5
_ATTEMPTS = 3


@dataclass(frozen=True)
class Sample:
    """One channel's reading; the controller took it between two instants of the monotonic clock."""

    target_steps: int
    current_steps: int
    sent_at: float
    received_at: float

    @property
    def moving(self) -> bool:
        """Whether the motor has still to go to its target."""
        return self.current_steps != self.target_steps


class Controller:
    """A controller that has answered. Methods raise DeviceLost when the port fails, Silence when no reply comes."""

    def __init__(self, link: SerialLink, firmware: Firmware, channels: int, reply_timeout_s: float) -> None:
        self.firmware = firmware
        self.channels = channels
        self._link = link
        self._reply_timeout_s = reply_timeout_s

    @classmethod
    def identify(cls, link: SerialLink, serial_timeout_s: float, interrupted: Callable[[], bool] = never) -> Controller:
        """Find out what answers at the other end; moves nothing. Raises DeviceLost if nothing sensible does.

        `?` comes first whatever the controller's input buffer still holds: completed by it, a half command of an
        earlier owner is answered with `?` or silence, while a line feed alone could complete it into a move.
        """
        reply_timeout_s = min(REPLY_TIMEOUT_S, serial_timeout_s)
        deadline = time.monotonic() + max(_WAKE_UP_S, serial_timeout_s)
        readings = None
        while readings is None:
            try:
                readings = link.exchange(protocol.QUERY, protocol.parse_status, reply_timeout_s, interrupted)
            except Silence as silence:
                if time.monotonic() >= deadline:
                    raise DeviceLost(f"no focus controller answers at {link.name}: {silence}") from silence
        fans = None
        for _ in range(_ATTEMPTS):
            try:
                fans = link.exchange(protocol.QUERY_FANS, protocol.parse_fans_probe, reply_timeout_s, interrupted)
                break
            except Silence:
                continue
        if fans is None:
            raise DeviceLost(f"what answers at {link.name} does not know # (firmware of 2022: ?, of 2023: 0 or 1)")
        firmware = protocol.FIRMWARE_2022 if fans == protocol.REFUSED else protocol.FIRMWARE_2023
        return cls(link, firmware, len(readings), reply_timeout_s)

    def read(self, interrupted: Callable[[], bool] = never) -> tuple[Sample, ...]:
        """One reading of every channel."""
        sent_at = time.monotonic()
        readings = self._link.exchange(protocol.QUERY, self._parse_status, self._reply_timeout_s, interrupted)
        received_at = time.monotonic()
        return tuple(Sample(r.target_steps, r.current_steps, sent_at, received_at) for r in readings)

    def set_target(self, channel: int, steps: int, interrupted: Callable[[], bool]) -> Sample:
        """Move a channel. Returns the reading that shows the new target; raises CommandFailed if it is refused."""
        return self._command({channel: protocol.set_target(channel, steps)}, lambda s: s.target_steps == steps, interrupted)[
            channel
        ]

    def stop(self, channels: Sequence[int], unheard: Callable[[], None]) -> dict[int, Sample]:
        """Stop these channels, each tried once before any is tried again; `unheard` is told if any is not answered."""
        return self._command({n: protocol.stop(n) for n in channels}, lambda s: not s.moving, never, unheard)

    def zero(self, channel: int) -> Sample:
        """Make the present position 0; stops the motor."""
        return self._command({channel: protocol.zero(channel)}, lambda s: s.target_steps == s.current_steps == 0, never)[
            channel
        ]

    def read_fans(self) -> bool | None:
        """Whether the fans are on; None where the firmware has none."""
        if not self.firmware.has_fans:
            return None
        return self._link.exchange(protocol.QUERY_FANS, protocol.parse_fans, self._reply_timeout_s)

    def set_fans(self, enabled: bool) -> None:
        """Switch the fans. Raises CommandFailed where the firmware has none, or if they do not follow."""
        if not self.firmware.has_fans:
            raise CommandFailed(f"the controller's firmware ({self.firmware.name}) has no fans")
        for _ in range(_ATTEMPTS):
            try:
                self._link.exchange(protocol.set_fans(enabled), protocol.parse_answer, self._reply_timeout_s)
                if self.read_fans() == enabled:
                    return
            except Silence:
                continue
        raise CommandFailed("the controller did not switch the fans")

    def read_temperature(self, address: str, interrupted: Callable[[], bool]) -> float | None:
        """Degrees Celsius of one probe, None if it failed; takes about a second, in which nothing else is answered."""

        def parse(line: bytes) -> tuple[float | None] | None:
            if line in (b"FAILED", protocol.REFUSED):
                return (None,)
            value = protocol.parse_temperature(line)
            return None if value is None else (value,)

        return self._link.exchange(protocol.query_temperature(address), parse, _TEMPERATURE_TIMEOUT_S, interrupted)[0]

    @property
    def heard_at(self) -> float:
        """When the controller last answered, on the monotonic clock."""
        return self._link.heard_at

    @property
    def may_have_restarted(self) -> bool:
        """Whether something it was asked was never answered: one that loses its power forgets what it was asked."""
        return self._link.unanswered > 0

    def kept_its_power(self) -> None:
        """A reading has shown that it did, so that what was unanswered before means nothing."""
        self._link.unanswered = 0

    def hung_up(self) -> bool:
        """Whether the port is known to have gone."""
        return self._link.hung_up()

    def close(self) -> None:
        """Close the port. Stops no motor."""
        self._link.close()

    def _parse_status(self, line: bytes) -> tuple[Reading, ...] | None:
        readings = protocol.parse_status(line)
        return readings if readings is not None and len(readings) == self.channels else None

    def _command(
        self,
        commands: dict[int, bytes],
        done: Callable[[Sample], bool],
        interrupted: Callable[[], bool],
        unheard: Callable[[], None] = lambda: None,
    ) -> dict[int, Sample]:
        """Send one command per channel until a reading shows each of them done.

        All of them may be sent again without harm (targets are absolute), so a lost acknowledgement is mended by
        reading back, and a `?`, which a stray byte in the controller's buffer also provokes, by a second attempt.
        """
        shown: dict[int, Sample] = {}
        answer: bytes | None = None
        for _ in range(_ATTEMPTS):
            read_back = False  # what was seen before this attempt tells nothing of what it does
            silent = False
            for channel in commands.keys() - shown.keys():
                try:
                    answer = self._link.exchange(commands[channel], protocol.parse_answer, self._reply_timeout_s, interrupted)
                except Silence as silence:
                    log.warning("channel %d: %s", channel, silence)
                    silent = True
            if silent:
                unheard()  # before more is tried, for the process may be ended meanwhile, but after the other channel
            try:
                samples = self.read(interrupted)
                read_back = True
            except Silence as silence:
                log.warning("%s", silence)
                continue
            shown.update({n: samples[n - 1] for n in commands if done(samples[n - 1])})
            if len(shown) == len(commands):
                return shown
        text = ", ".join(command.decode("ascii") for command in commands.values())
        if not read_back:  # an answer alone does not tell what became of it
            raise Silence(f"the controller does not show what became of {text}")
        if answer == protocol.REFUSED:
            raise CommandFailed(f"the controller refuses {text}", value=text)
        raise CommandFailed(f"the controller does not carry out {text}", value=text)
