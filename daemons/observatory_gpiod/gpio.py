"""The remote object: what a client may ask of the devices on the pins."""

from __future__ import annotations

from typing import Any

from observatory_common import arguments
from observatory_common.access import Caller, control, view
from observatory_common.errors import CommandFailed, ObservatoryError, UnknownDevice
from observatory_common.json_file import nearest
from observatory_common.remote import RemoteDevice
from observatory_common.service import Context
from observatory_common.storage import StateFile
from observatory_gpiod.calls import Calls
from observatory_gpiod.config import GpiodConfig
from observatory_gpiod.devices.base import Device, Hooks
from observatory_gpiod.journal import Journal
from observatory_gpiod.rig import Rig

#: More than an input of a thousand edges a second gives in eight seconds.
_EVENTS_KEPT = 8192
#: What sets a device without being asked by anybody.
_OWN_CAUSES = frozenset({"on_start", "on_stop", "auto_off", "idle_off"})


class Gpio(RemoteDevice):
    """The GPIO devices of a config, called by their ids and the methods of the table of their types."""

    def __init__(self, config: GpiodConfig, context: Context) -> None:
        super().__init__("gpiod", context.instance, context.boot_id, context.software_version, events_kept=_EVENTS_KEPT)
        journal = Journal(StateFile(context.state_folder / "journal.json"), context.boot_id)
        hooks = Hooks(on_event=self._event, on_moving=journal.moving, on_position=journal.stands)
        self._config = config
        self._set_by: dict[str, str] = {}
        self._calls = Calls(self.jobs, journal, self._set_by.__setitem__)
        self._rig = Rig(config, hooks, journal.position, context.instance)

    # a daemon's life

    def start(self) -> None:
        """Claim the pins, and bring each output to its state at the start."""
        self._rig.start()

    def last_progress(self) -> float:
        """When the thread that looks after the pins last showed life, on the monotonic clock."""
        return self._rig.last_progress()

    def close(self, deadline_s: float) -> None:
        """Bring each output to its state at the stop, then free the pins, within about `deadline_s` seconds."""
        self._rig.end(deadline_s)
        super().close(deadline_s)

    # remote methods

    @view
    def report_status(self) -> dict[str, Any]:
        """Every device, each key followed by its id; keys are always there, what is unknown is None.

        `devices` lists the ids; `state` is connecting, ready, partial (see `error_ID`) or closed.
        """
        status = self.common_status()
        state = self._rig.state
        status.update(
            state=state,
            last_error=self._rig.last_error,
            reading_age_s=0.0 if state in ("ready", "partial") else None,
            pin_factory=self._config.pin_factory,
            devices=list(self._rig.devices),
        )
        for device in self._rig.devices.values():
            status.update({f"{key}_{device.id}": value for key, value in self._state(device).items()})
        return status

    @view
    def state(self, device: str) -> dict[str, Any]:
        """One device: type, label, reading, since when, who set it, what runs, its job, why it cannot be used.

        Raises UnknownDevice.
        """
        return self._state(self._device(device))

    @view
    def describe(self, device: str | None = None) -> list[dict[str, Any]]:
        """Of one device, or all: pins, parameters, methods and events with types, units, ranges, defaults.

        Enough to draw a form. Raises UnknownDevice.
        """
        wanted = self._rig.devices.values() if device is None else [self._device(device)]
        return [found.describe() for found in wanted]

    @control
    def call(
        self,
        caller: Caller,
        device: str,
        method: str,
        arguments: dict[str, Any] | None = None,
        *,
        request_id: str | None = None,
    ) -> dict[str, Any] | None:
        """Do a method of the table with a device. Switches or moves what the method says.

        Answers with a job if it goes on, else with None when it is done; what ran before is stopped. With a `request_id`
        always with a job, and a repeated one answers with the job it started. Raises UnknownDevice, UnknownMethod,
        InvalidArgument (all before anything moves), NotConnected, CommandFailed, DeviceLost, Uncertain, Stopped (without a
        `request_id`: somebody has asked for `stop` while it waited for its turn, so it was not done).
        """
        found = self._device(device)
        wanted = {} if arguments is None else arguments
        if request_id is None:
            job = self._calls.call(found, method, wanted, str(caller))
        else:
            job = self._calls.call_once(found, method, wanted, str(caller), _request(request_id))
        return None if job is None else job.to_wire()

    @control
    def cancel(self, caller: Caller, id: str) -> dict[str, Any]:
        """Ask for a job's early end, which stops its device; does nothing to one that has ended. Answers with the job."""
        job = self.jobs.get(id)
        device = self._device(job.kind.partition(".")[0])
        task = device.task
        if task is not None and task.job_id == job.id:  # one that waits for its turn sets nothing
            self._set_by[device.id] = str(caller)
        return super().cancel(caller, id)

    @control
    def all_off(self, caller: Caller) -> dict[str, Any]:
        """Switch every output off, whatever it does; servos get no pulses, steppers no current.

        Raises CommandFailed, naming what could not be switched off; all others are off then too. Raises NotConnected after
        `shutdown`.
        """
        off, failed = self._rig.all_off("all_off")
        self._set_by.update(dict.fromkeys(off, str(caller)))
        if failed:
            raise CommandFailed("not off: " + "; ".join(failed.values()), value=sorted(failed))
        return {"off": off}

    @control
    def initialize(self, caller: Caller) -> dict[str, Any]:
        """Claim the pins now, as at the start. Raises NotDisconnected if they are, CommandFailed if it does not succeed."""
        self._rig.open()
        return {"state": self._rig.state}

    @control
    def shutdown(self, caller: Caller) -> dict[str, Any]:
        """Bring each output to its state at the stop and free the pins until `initialize`. Raises NotConnected if they are."""
        self._rig.close()
        return {"state": self._rig.state}

    def _device(self, id: Any) -> Device:
        devices = self._rig.devices
        found = devices.get(id) if type(id) is str else None
        if found is None:
            allowed = ", ".join(devices) or "none"
            raise UnknownDevice(
                f"there is no device {arguments.shown(id)}, expected {allowed}{nearest(id, devices)}",
                value=arguments.shown(id),
                allowed=allowed,
            )
        return found

    def _state(self, device: Device) -> dict[str, Any]:
        error = self._rig.errors.get(device.id)
        try:
            self._rig.check()
            state = device.state()
        except ObservatoryError as failure:
            state = device.unknown_state()
            error = error or str(failure)
        return {**state, "set_by": self._set_by.get(device.id), "error": error}

    def _event(self, device: str, name: str, data: dict[str, Any]) -> None:
        cause = data["cause"] if name == "changed" else name
        if cause in _OWN_CAUSES:
            self._set_by[device] = cause
        self.events_ring.publish(device, name, data)


def _request(request_id: Any) -> str:
    return arguments.text("request_id", request_id)
