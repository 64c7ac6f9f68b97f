"""How many may keep an endless answer (a stream, events) at once: so many in all, so many of one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from observatory_webd.lanes import Busy

MOST = 500
#: Of one user, or of one address from which nobody is logged in: less, so that nobody takes all places.
MOST_OF_ONE = 220


def require_place(
    taken: Iterable[Hashable], who: Hashable, what: str, most: int = MOST, most_of_one: int = MOST_OF_ONE
) -> None:
    """Raise Busy if `who` may not be one more; `taken` names who has each place, `what` says what they do (viewers look)."""
    found = list(taken)
    if len(found) >= most:
        raise Busy(f"{most} {what} already, which is the most", value=len(found), allowed=f"{most} in all")
    of_one = sum(other == who for other in found)
    if of_one >= most_of_one:
        raise Busy(f"{most_of_one} {what} already for one user or address", value=of_one, allowed=f"{most_of_one} of one")
