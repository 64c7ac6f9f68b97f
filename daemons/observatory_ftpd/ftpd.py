"""The remote object: what a client may ask of the drop."""

from __future__ import annotations

import logging
from typing import Any

from observatory_common import arguments
from observatory_common.access import Caller, Policy, control, local, view
from observatory_common.audit import Audit
from observatory_common.errors import ObservatoryError
from observatory_common.remote import RemoteDevice
from observatory_common.service import Context
from observatory_common.storage import StateFile
from observatory_ftpd.applying import Applier
from observatory_ftpd.camera import RemoteCamera
from observatory_ftpd.config import FtpdConfig
from observatory_ftpd.drop import Drop
from observatory_ftpd.ftp.server import FtpServer
from observatory_ftpd.ftp.services import Services
from observatory_ftpd.intake import Intake
from observatory_ftpd.logins import Logins, Tries
from observatory_ftpd.uploads import Ledger

log = logging.getLogger("ftpd")

_APPLIER_STOPS_WITHIN_S = 2.0
_SERVER_STOPS_WITHIN_S = 1.0


class Ftpd(RemoteDevice):
    """A drop folder, its FTP server, and the camera behind it."""

    def __init__(self, config: FtpdConfig, context: Context) -> None:
        audit = Audit()
        super().__init__("ftpd", context.instance, context.boot_id, context.software_version, audit)
        limits, folder = config.limits, config.folder or context.state_folder / "drop"
        self._config = config
        self._drop = Drop(folder, config.file_name, limits.quota_bytes, limits.files, config.photo.keep)
        self._ledger = Ledger(self._drop, StateFile(context.state_folder / "upload.json"))
        camera = RemoteCamera(config.camera, limits.quota_bytes // 2)
        self._applier = Applier(config, context.boot_id, camera, self._drop, self._ledger, self._event)
        self._intake = Intake(self._drop, config.section, self._ledger, self._applier, self.jobs, audit, self._event)
        policy = Policy(config.control_machines, config.view_machines, config.gateway_machines, context.directory)
        services = Services(
            policy,
            Logins(config.users, config.anonymous),
            Tries(),
            audit,
            self._drop,
            self._intake.take,
            self._intake.refused,
            self._event,
        )
        self._server = FtpServer(config, services)
        self._is_serving = False

    # a daemon's life

    @local
    def start(self) -> None:
        """Open the folder, serve it, and go on with what was not applied before the last end. Raises InvalidConfig."""
        self._drop.open()
        sender = self._ledger.kept()
        self._server.start()
        self._applier.start()
        self._is_serving = True
        log.info("FTP on %s port %d serves %s", *self._server.address, self._drop.folder)
        if sender is not None:
            try:
                self._intake.apply_again(sender)
            except ObservatoryError as error:
                log.error("what was uploaded before the restart is not applied: %s", error)
                self._ledger.done(self._ledger.keep(sender))

    @local
    def last_progress(self) -> float:
        """When the FTP server's thread last showed life, on the monotonic clock."""
        return self._server.last_progress()

    @local
    def must_restart(self) -> str | None:
        """Why the daemon should end to be started again, or None."""
        if self._is_serving and not self._applier.is_alive:
            return "the thread that speaks to the camera has ended"
        return None

    @local
    def close(self, deadline_s: float) -> None:
        """End all FTP connections and threads."""
        self._is_serving = False
        self._server.close(min(deadline_s / 3, _SERVER_STOPS_WITHIN_S))
        self._applier.close(min(deadline_s / 2, _APPLIER_STOPS_WITHIN_S))
        super().close(deadline_s)

    # remote methods

    @view
    def report_status(self) -> dict[str, Any]:
        """Everything known now; keys are always there, what is unknown is None.

        `state` is idle, applying, waiting (for the camera) or closed; `reading_age_s` is since the camera's last answer.
        """
        usage = self._drop.usage() if self._is_serving else None
        limits, uploads = self._config.limits, self._ledger.last(1)
        sessions, tls = self._server.sessions(), self._config.tls
        host, port = self._server.address
        status = self.common_status()
        status.update(
            state=self._applier.state if self._is_serving else "closed",
            last_error=self._applier.last_error,
            reading_age_s=self._applier.contact_age_s,
            camera=self._config.camera,
            camera_reachable=self._applier.contact_age_s is not None,
            ftp_host=host,
            ftp_port=port,
            tls="off" if tls is None else "required" if tls.required else "offered",
            anonymous=self._config.anonymous,
            connections=len(sessions),
            max_connections=limits.connections,
            users=[session for session in sessions if session["user"] is not None],
            folder=str(self._drop.folder),
            file_name=self._config.file_name,
            used_bytes=None if usage is None else usage.bytes,
            files=None if usage is None else usage.files,
            other_bytes=None if usage is None else usage.other_bytes,
            other_files=None if usage is None else usage.other_files,
            quota_bytes=limits.quota_bytes,
            last_upload=uploads[0].to_wire() if uploads else None,
        )
        return status

    @view
    def uploads(self, count: int = 20) -> list[dict[str, Any]]:
        """The last `count` (1 to 100) configurations that came, oldest first, and what became of each."""
        return [upload.to_wire() for upload in self._ledger.last(arguments.whole_number("count", count, 1, 100))]

    @control
    def retry(self, caller: Caller) -> dict[str, Any]:
        """Apply the configuration in the folder again and take a test photo; answers with a job.

        Raises CommandFailed if there is none, InvalidArgument for one that is not whole.
        """
        job = self._intake.apply_again(str(caller)).job
        assert job is not None  # every upload that is applied has one
        return job.to_wire()

    def _event(self, name: str, data: dict[str, Any]) -> None:
        self.events_ring.publish("ftpd", name, data)
