"""The audit: who asked for what, and how it ended. One line each in the log, under the logger `audit`."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any

from observatory_common.arguments import shown

_WINDOW_S = 10.0
_WRITTEN = 10  # identical refusals within this time; further ones are counted instead
_MOST_KINDS = 100  # of refusals told apart within a window; further ones are counted together


@dataclass
class _Repeated:
    ends_at: float
    written: int = 0
    suppressed: int = 0


class Audit:
    """Writes audit lines. Thread safe.

    Of identical refusals within 10 s the first 10 are written and the others counted, so that nobody can fill the log; the
    count is told in a line of its own afterwards (see `flush`). Lines about accepted control calls are never suppressed.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._log = logger if logger is not None else logging.getLogger("audit")
        self._lock = threading.Lock()
        self._repeated: dict[tuple[str, str, int], _Repeated] = {}

    def refused(self, caller: str, what: str, code: int, reason: str) -> None:
        """`caller` was refused `what` (a method, or "a connection") with a code of `CommandStatus`."""
        key = (caller, what, code)
        now = time.monotonic()
        with self._lock:
            ended = self._ended(now)
            if key not in self._repeated and len(self._repeated) >= _MOST_KINDS:
                key = ("various", "various", code)
            known = self._repeated.setdefault(key, _Repeated(now + _WINDOW_S))
            is_written = known.written < _WRITTEN
            if is_written:
                known.written += 1
            else:
                known.suppressed += 1
        self._tell(ended)
        if is_written:
            self._write(logging.WARNING, "refused", {"caller": caller, "what": what, "code": code, "reason": reason})

    def accepted(self, caller: str, method: str, arguments: str, result: Any) -> None:
        """A control call was carried out; `result` is what it returned (of a job only the id is written)."""
        fields = {"caller": caller, "what": method, "arguments": arguments, "outcome": "done"}
        if isinstance(result, dict) and isinstance(result.get("id"), str) and "boot_id" in result:
            fields["job"] = result["id"]
        self._write(logging.INFO, "accepted", fields)

    def failed(self, caller: str, method: str, arguments: str, code: int, reason: str) -> None:
        """A control call of somebody who may make it was refused for another reason, or went wrong; never suppressed."""
        fields = {"caller": caller, "what": method, "code": code, "reason": reason, "arguments": arguments}
        self._write(logging.WARNING, "refused", fields)

    def job_ended(self, job: dict[str, Any]) -> None:
        """A job came to its end; `job` as it goes over the wire."""
        fields = {"job": job["id"], "kind": job["kind"], "state": job["state"], "caller": job["started_by"]}
        if job["result"] is not None:
            fields["result"] = shown(job["result"])
        if job["error"] is not None:
            fields["code"] = job["error"]["code"]
            fields["reason"] = job["error"]["message"]
        self._write(logging.INFO if job["state"] == "succeeded" else logging.WARNING, "job ended", fields)

    def flush(self, everything: bool = False) -> None:
        """Tell the counts of refusals whose 10 s are over, or all of them."""
        with self._lock:
            ended = self._ended(float("inf") if everything else time.monotonic())
        self._tell(ended)

    def _ended(self, now: float) -> dict[tuple[str, str, int], _Repeated]:
        ended = {key: repeated for key, repeated in self._repeated.items() if repeated.ends_at <= now}
        for key in ended:
            del self._repeated[key]
        return ended

    def _tell(self, ended: dict[tuple[str, str, int], _Repeated]) -> None:
        for (caller, what, code), repeated in ended.items():
            if repeated.suppressed:
                fields = {"caller": caller, "what": what, "code": code, "suppressed": repeated.suppressed}
                self._write(logging.WARNING, "refused again", fields)

    def _write(self, level: int, message: str, fields: dict[str, Any]) -> None:
        self._log.log(level, message, extra={"fields": fields})
