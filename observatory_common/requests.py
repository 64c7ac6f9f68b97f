"""The request ids of commands, kept in a state file, so that one that is repeated after a restart is known again."""

from __future__ import annotations

from collections.abc import Mapping

#: Enough for any client that may still retry one.
KEPT = 64


def remembered(requests: Mapping[str, str], request_id: str, boot_id: str) -> dict[str, str]:
    """The requests (each with the run of the daemon that accepted it) and this one as the newest, without the oldest."""
    kept = {known: boot for known, boot in requests.items() if known != request_id}
    kept[request_id] = boot_id
    while len(kept) > KEPT:
        del kept[next(iter(kept))]
    return kept


def of_earlier_run(requests: Mapping[str, str], request_id: str, boot_id: str) -> bool:
    """Whether another run than this one has accepted a request."""
    return requests.get(request_id, boot_id) != boot_id
