"""What happens to a complete upload: a configuration goes on to the camera, everything else just lies there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from observatory_common.arguments import shown
from observatory_common.audit import Audit
from observatory_common.errors import CommandFailed, CommandStatus, InvalidArgument
from observatory_common.jobs import JobTable
from observatory_ftpd.applying import Applier
from observatory_ftpd.checking import section_of
from observatory_ftpd.drop import Drop, Incoming, Refused
from observatory_ftpd.ftp.services import Sender
from observatory_ftpd.uploads import Ledger, Upload


class Intake:
    """Checks uploads, and writes down what came of them."""

    def __init__(
        self,
        drop: Drop,
        section: str,
        ledger: Ledger,
        applier: Applier,
        jobs: JobTable,
        audit: Audit,
        event: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._drop = drop
        self._section = section
        self._ledger = ledger
        self._applier = applier
        self._jobs = jobs
        self._audit = audit
        self._event = event
        self._order = threading.Lock()  # what is handed over last is what lies in the folder

    def take(self, incoming: Incoming, sender: Sender) -> str:
        """Put a complete upload into its place; the reply to its sender."""
        try:
            if incoming.name == self._drop.file_name:
                return self._take_config(incoming, sender)
            self._drop.take_other(incoming)
        except Refused as error:
            self.refused(incoming.name, str(error), sender)
            return f"553 {error}."
        except OSError as error:
            self.refused(incoming.name, f"it cannot be written: {error.strerror}", sender)
            return f"452 {incoming.name} cannot be written: {error.strerror}."
        self._accepted(incoming, sender, None)
        return f"226 {incoming.name} is here; nothing is done with it.{_caveat(incoming)}"

    def refused(self, name: str, reason: str, sender: Sender) -> None:
        """An upload came to nothing; of a configuration there is a report."""
        if name == self._drop.file_name:
            upload = self._ledger.enter(str(sender), 0)
            self._ledger.report(upload, "refused", reason)
        self._audit.failed(str(sender.caller), "FTP upload", _described(name, sender), CommandStatus.InvalidArgument, reason)
        self._event("upload", {"name": name, "sender": str(sender), "accepted": False, "reason": reason})

    def apply_again(self, sender: str) -> Upload:
        """Apply the file that lies in the folder. Raises CommandFailed if there is none, InvalidArgument for what is wrong."""
        with self._order:
            try:
                raw = (self._drop.folder / self._drop.file_name).read_bytes()
            except OSError as error:
                raise CommandFailed(f"{self._drop.file_name} cannot be read: {error.strerror}") from error
            section = section_of(raw, self._section)
            upload = self._entered(sender, len(raw), section, self._ledger.keep(sender))
            self._applier.submit(upload)
            return upload

    def _take_config(self, incoming: Incoming, sender: Sender) -> str:
        try:
            self._replace(incoming, sender)
        except InvalidArgument as error:
            self.refused(incoming.name, str(error), sender)
            return f"553 {error}; nothing was changed."
        return f"226 {incoming.name} goes to the camera; see {self._drop.report_name}.{_caveat(incoming)}"

    def _replace(self, incoming: Incoming, sender: Sender) -> None:
        """Have it replace the configuration before, and applied. Raises InvalidArgument, OSError."""
        sections: list[Mapping[str, Any]] = []
        notes: list[int] = []

        def check(raw: bytes) -> None:
            sections.append(section_of(raw, self._section))
            # Before the file is there: a crash right after that must not leave it unapplied.
            notes.append(self._ledger.keep(str(sender)))

        with self._order:
            try:
                self._drop.take_config(incoming, check)
            except OSError:
                for note in notes:
                    self._ledger.done(note)
                raise
            upload = self._entered(str(sender), incoming.size, sections[0], notes[0])
            self._accepted(incoming, sender, upload)  # before anything that comes of it is told
            self._applier.submit(upload)

    def _entered(self, sender: str, size: int, section: Mapping[str, Any], note: int) -> Upload:
        upload = self._ledger.enter(sender, size, section)
        upload.kept = note
        upload.job = self._jobs.start("config", sender, cancel=lambda: None)
        return upload

    def _accepted(self, incoming: Incoming, sender: Sender, upload: Upload | None) -> None:
        job = None if upload is None or upload.job is None else upload.job.to_wire()
        described = f"{_described(incoming.name, sender)}, size={incoming.size}"
        self._audit.accepted(str(sender.caller), "FTP upload", described, job)
        number = None if upload is None else upload.number
        self._event("upload", {"name": incoming.name, "sender": str(sender), "accepted": True, "upload": number})


def _caveat(incoming: Incoming) -> str:
    return "" if incoming.unsafe is None else f" It may not outlive a loss of power: {incoming.unsafe}."


def _described(name: str, sender: Sender) -> str:
    return f"name={shown(name)}, user={shown(sender.user)}"
