"""The remote object: what a client may ask of the focuser, under the names multifocusd's clients know."""

from __future__ import annotations

import time
from typing import Any

from observatory_common import arguments
from observatory_common.access import Caller, control, view
from observatory_common.remote import RemoteDevice
from observatory_common.service import Context
from observatory_common.storage import StateFile
from observatory_focusd.axis import Axis, MoveRequest
from observatory_focusd.config import FocusdConfig
from observatory_focusd.journal import Journal
from observatory_focusd.motion import Motion
from observatory_focusd.protocol import FIRMWARE_LIMIT_STEPS
from observatory_focusd.snapshot import AxisView
from observatory_focusd.worker import Worker

_STEPS = f"a whole number from {-FIRMWARE_LIMIT_STEPS} to {FIRMWARE_LIMIT_STEPS}"
_STATUS = {None: (0, "OFFLINE"), False: (1, "IDLE"), True: (2, "MOVING")}


class Focuser(RemoteDevice):
    """A focus controller of one or two channels. Channels count from 1; positions are whole steps."""

    def __init__(self, config: FocusdConfig, context: Context) -> None:
        super().__init__("focusd", context.instance, context.boot_id, context.software_version)
        self._config = config
        self._worker = Worker(config)
        axes = [Axis(number, channel.limits, channel.backlash) for number, channel in enumerate(config.channels, 1)]
        self._motion = Motion(
            axes,
            Journal(StateFile(context.state_folder / "journal.json"), context.boot_id),
            self.jobs,
            self.events_ring,
            config.move_timeout,
            cancel_move=lambda channel: self._stop([channel], "its cancellation"),
            changed=self._worker.publish,
        )
        self._worker.attach(self._motion)

    # a daemon's life

    def start(self) -> None:
        """Begin to connect to the controller."""
        self._worker.start()

    def last_progress(self) -> float:
        """When the serial worker last showed life, on the monotonic clock."""
        return self._worker.last_progress()

    def close(self, deadline_s: float) -> None:
        """Stop every motor that moves, release the port, end the worker, all within about `deadline_s` seconds."""
        self._worker.close(deadline_s)
        super().close(deadline_s)

    # remote methods

    @view
    def report_status(self) -> dict[str, Any]:
        """Everything known now; keys are always there, what is unknown is None. Touches nothing."""
        now = self._worker.snapshot
        status = self.common_status()
        status.update(
            state=now.state,
            last_error=now.last_error,
            reading_age_s=round(time.monotonic() - now.read_at, 6) if now.read_at is not None else None,
            reading_date=now.reading_date,
            serial_port=self._config.serial_port,
            firmware=now.firmware,
            steps_per_s=now.steps_per_s,
            channels=[axis.number for axis in now.axes],
            fans_enabled=now.fans_enabled,
        )
        for name in self._config.temperature_probes:
            status[f"temperature_{name}_C"] = now.temperatures_c.get(name)
        for axis in now.axes:
            _add_axis(status, axis)
        return status

    @control
    def set_focus(
        self,
        caller: Caller,
        channel: int,
        steps: int,
        offset: bool = False,
        *,
        request_id: str | None = None,
        accept_uncertain: bool = False,
    ) -> dict[str, Any]:
        """Move a channel to `steps`, or by `steps` from its target if `offset`; answers with a job at once. Moves.

        A repeated `request_id` answers with the job it started. Raises InvalidChannel, PositionOutsideLimits, Blocked
        while the channel moves, Uncertain while its position is (unless `accept_uncertain`), NotConnected, Stopped if
        somebody has stopped the channel before it began.
        """
        wanted = MoveRequest(
            channel=self._channel(channel),
            steps=arguments.integer("steps", steps, _STEPS),
            offset=arguments.flag("offset", offset),
            by=str(caller),
            request_id=None if request_id is None else arguments.text("request_id", request_id),
            accept_uncertain=arguments.flag("accept_uncertain", accept_uncertain),
        )
        job: dict[str, Any] = self._worker.call(
            lambda controller: self._motion.start(controller, wanted, self._worker.stop_waits), moves=[wanted.channel]
        )
        return job

    @control
    def stop_channel(self, caller: Caller, channel: int | None = None) -> dict[str, Any]:
        """Stop one channel, or all of them; overtakes everything. Answers where each stopped.

        Raises TimedOut if the controller does not acknowledge it, DeviceLost if the port fails meanwhile, NotConnected if
        it is away; in each case it is stopped as soon as it can be reached.
        """
        channels = [axis.number for axis in self._motion.axes] if channel is None else [self._channel(channel)]
        return {"stopped": self._stop(channels, str(caller))}

    @control
    def reset_home_position(self, caller: Caller, channel: int) -> dict[str, Any]:
        """Call the present position of a channel 0 and confirmed. Moves nothing. Raises Blocked while it moves."""
        number = self._channel(channel)
        result: dict[str, Any] = self._worker.call(lambda controller: self._motion.zero(controller, number))
        return result

    @control
    def confirm_position(self, caller: Caller, channel: int) -> dict[str, Any]:
        """Take the controller's position of a channel for proven. Moves nothing. Raises Blocked while it moves."""
        number = self._channel(channel)
        result: dict[str, Any] = self._worker.call(lambda controller: self._motion.confirm(controller, number))
        return result

    @control
    def initialize(self, caller: Caller) -> dict[str, Any]:
        """Connect to the controller now. Raises NotDisconnected if connected, CommandFailed if it does not succeed."""
        self._worker.connect()
        return {"firmware": self._worker.snapshot.firmware}

    @control
    def shutdown(self, caller: Caller) -> dict[str, Any]:
        """Stop every motor and release the port; nothing reconnects until `initialize`. Raises NotConnected if closed."""
        return {"stopped": self._worker.disconnect(str(caller))}

    @control
    def set_fans(self, caller: Caller, enabled: bool) -> dict[str, Any]:
        """Switch the fans (2023 firmware). Raises CommandFailed where there are none."""
        wanted = arguments.flag("enabled", enabled)
        self._worker.switch_fans(wanted)
        return {"fans_enabled": wanted}

    def _channel(self, channel: Any) -> int:
        numbers = " or ".join(str(axis.number) for axis in self._motion.axes)
        return self._motion.axis(arguments.integer("channel", channel, numbers)).number

    def _stop(self, channels: list[int], by: str) -> list[dict[str, Any]]:
        return self._worker.stop(channels, by)


def _add_axis(status: dict[str, Any], axis: AxisView) -> None:
    number, label = _STATUS[axis.moving]
    status[f"status_{axis.number}"] = number
    status[f"status_label_{axis.number}"] = label
    status[f"current_steps_{axis.number}"] = axis.current_steps
    status[f"target_steps_{axis.number}"] = axis.target_steps
    status[f"last_confirmed_steps_{axis.number}"] = axis.last_confirmed_steps
    status[f"position_state_{axis.number}"] = axis.position_state
    status[f"moving_{axis.number}"] = axis.moving
    status[f"job_{axis.number}"] = axis.job
    status[f"expected_end_{axis.number}"] = axis.expected_end
    status[f"limit_min_steps_{axis.number}"], status[f"limit_max_steps_{axis.number}"] = axis.limits
