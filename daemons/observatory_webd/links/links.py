"""All daemons that a gateway shows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from observatory_common.directory import Directory
from observatory_common.errors import UnknownDevice
from observatory_common.json_file import nearest
from observatory_common.tls import Tls
from observatory_webd.config import Shown
from observatory_webd.links.feed import Feed
from observatory_webd.links.link import Link


class Links:
    """The daemons of a config, by kind and name."""

    def __init__(self, shown: Sequence[Shown], directory: Directory, tls: Tls | None) -> None:
        self.feed = Feed()
        self._links = {(item.kind, item.name): Link(item, directory, tls, self.feed) for item in shown}

    def __iter__(self) -> Iterator[Link]:
        return iter(self._links.values())

    def of_kind(self, kind: str) -> list[Link]:
        """Those of a kind (camera, focuser, gpio), in the config's order."""
        return [link for link in self if link.shown.kind == kind]

    def camera(self, name: str) -> Link:
        """The camera of this name. Raises UnknownDevice."""
        return self._named("camera", name)

    def focuser(self, name: str) -> Link:
        """The focuser of this name. Raises UnknownDevice."""
        return self._named("focuser", name)

    def gpio(self, name: str) -> Link:
        """The GPIO daemon of this name. Raises UnknownDevice."""
        return self._named("gpio", name)

    def start(self) -> None:
        """Begin to watch the daemons."""
        for link in self:
            link.start()

    def close(self, deadline_s: float) -> bool:
        """Break off all calls, and end the threads within `deadline_s` seconds; whether they have all ended."""
        deadline_at = time.monotonic() + deadline_s
        self.feed.close()
        for link in self:
            link.close()
        ended = [link.join(deadline_at) for link in self]
        return all(ended)

    def _named(self, kind: str, name: str) -> Link:
        link = self._links.get((kind, name))
        if link is None:
            names = [item.name for item in self.of_kind(kind)]
            allowed = ", ".join(names) or "none"
            raise UnknownDevice(
                f"there is no {kind} {name[:60]!r}, expected {allowed}{nearest(name, names)}", value=name[:60], allowed=allowed
            )
        return link
