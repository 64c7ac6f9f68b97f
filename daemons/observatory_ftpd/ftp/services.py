"""What the FTP server needs of the rest of the daemon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from observatory_common.access import Caller, Policy
from observatory_common.arguments import shown
from observatory_common.audit import Audit
from observatory_ftpd.drop import Drop, Incoming
from observatory_ftpd.logins import Logins, Tries


@dataclass(frozen=True)
class Sender:
    """Who is logged in: the machine is known by its address, the user by the password."""

    user: str
    caller: Caller

    def __str__(self) -> str:
        return f"{shown(self.user)} at {self.caller}"


@dataclass(frozen=True)
class Services:
    """`take` is called beside the server's thread with a complete upload, and answers with the reply to the client.

    `refused` is told of an upload that came to nothing, and why; `event` publishes one.
    """

    policy: Policy
    logins: Logins
    failures: Tries
    audit: Audit
    drop: Drop
    take: Callable[[Incoming, Sender], str]
    refused: Callable[[str, str, Sender], None]
    event: Callable[[str, dict[str, Any]], None]
