"""Guessing of passwords slowed down: whose wrong passwords are counted as one's, and how many there may be."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable

from observatory_common.guessing import Failures, Tries
from observatory_webd.errors import TooManyTries
from observatory_webd.lanes import Busy

ADDRESS_TRIES, ADDRESS_WITHIN_S = 5, 60.0
USER_TRIES, USER_WITHIN_S = 10, 300.0
_WAITS_S = 20.0


class Guesses:
    """Wrong passwords, by address and by user. Used on one loop only."""

    def __init__(self) -> None:
        self._by_address = Tries(Failures(ADDRESS_TRIES, ADDRESS_WITHIN_S))
        self._by_user = Tries(Failures(USER_TRIES, USER_WITHIN_S))

    async def attempt(self, place: str, whom: str | None, check: Callable[[], Awaitable[bool]]) -> bool:
        """What `check` finds: whether the password of a user (None: is not counted) that came from a place is right.

        It waits while others under way could all be wrong. Only what was found wrong counts, not a check that raised.
        Raises TooManyTries, Busy.
        """
        asked = [(self._by_address, place), *([] if whom is None else [(self._by_user, whom)])]
        admitted: list[tuple[Tries, str]] = []
        is_good = True
        try:
            for tries, key in asked:
                await _admitted(tries, key)
                admitted.append((tries, key))
            is_good = await check()
        finally:
            for tries, key in admitted:
                tries.ended(key, is_good)
        return is_good


async def _admitted(tries: Tries, key: str) -> None:
    """Wait until a try may begin; then `ended` must follow. Raises TooManyTries, Busy."""
    answered: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def answer(wait_s: float) -> bool:
        if answered.done():  # not waited for any longer
            return False
        answered.set_result(wait_s)
        return True

    tries.ask(key, answer)
    try:
        await asyncio.wait((answered,), timeout=_WAITS_S)
    except asyncio.CancelledError:
        if not answered.cancel() and not answered.result():
            tries.ended(key, True)
        raise
    if answered.cancel():
        raise Busy("too many logins are under way, try again later", allowed=f"{ADDRESS_TRIES} at a time from one address")
    if (wait_s := answered.result()) > 0:
        raise TooManyTries(f"too many wrong passwords, try again in {wait_s:.0f} s", wait_s)


def network_of(address: str) -> str:
    """Who is counted as one: an IPv4 address, or the /64 of an IPv6 one, which a single machine has."""
    parsed = ipaddress.ip_address(address)
    return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))
