"""What every daemon's remote object has: a life, jobs, events, the common part of the status."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from observatory_common import timestamps
from observatory_common.access import Caller, control, local, view
from observatory_common.audit import Audit
from observatory_common.events import EventRing
from observatory_common.jobs import JobTable


class RemoteDevice(ABC):
    """Base of a daemon's remote object.

    Public methods are remote if they declare `@view` or `@control`; a control method takes `caller` first. Values that
    cross the wire are plain: str, int, float, bool, None, list, dict with str keys, bytes. Refusals are raised.
    """

    def __init__(
        self,
        kind: str,
        instance: str,
        boot_id: str,
        software_version: str,
        audit: Audit | None = None,
        events_kept: int = 1024,
    ) -> None:
        self.kind = kind
        self.instance = instance
        self.boot_id = boot_id
        self.software_version = software_version
        self.jobs = JobTable(boot_id, on_end=(audit if audit is not None else Audit()).job_ended)
        self.events_ring = EventRing(boot_id, events_kept)

    @local
    @abstractmethod
    def start(self) -> None:
        """Begin to work: threads start here, not in the constructor."""

    @local
    @abstractmethod
    def last_progress(self) -> float:
        """When the device's worker last showed life, in seconds of the monotonic clock; the watchdog depends on it."""

    @local
    def must_restart(self) -> str | None:
        """Why only a new process can help the device (then the daemon ends with 75); None while it is well."""
        return None

    @local
    def close(self, deadline_s: float) -> None:
        """Bring the device to rest and end every thread, within about `deadline_s` seconds; wakes all who wait."""
        self.jobs.close()
        self.events_ring.close()

    @local
    def common_status(self) -> dict[str, Any]:
        """The keys that every daemon's status begins with."""
        return {
            "date": timestamps.utc_now(),
            "kind": self.kind,
            "instance": self.instance,
            "software_version": self.software_version,
            "boot_id": self.boot_id,
        }

    @view
    def job(self, id: str) -> dict[str, Any]:
        """The job of this id. Raises UnknownJob."""
        return self.jobs.get(id).to_wire()

    @view
    def wait(self, id: str, up_to_s: float = 10.0) -> dict[str, Any]:
        """The job of this id as soon as it has ended, at the latest after `up_to_s` (0 to 10) seconds."""
        return self.jobs.wait(id, up_to_s)

    @view
    def events(self, boot_id: str | None, after: int, timeout_s: float = 10.0) -> dict[str, Any]:
        """The events after number `after`; waits up to `timeout_s` (0 to 10) seconds for one. See `EventRing.read`."""
        return self.events_ring.read(boot_id, after, timeout_s)

    @control
    def cancel(self, caller: Caller, id: str) -> dict[str, Any]:
        """Ask for a job's early end, which may stop a device; does nothing to one that has ended. Answers with the job."""
        job = self.jobs.get(id)
        job.cancel()
        return job.to_wire()
