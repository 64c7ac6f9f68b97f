"""Which camera is the active one and which the second, as raspiCamSrv calls them."""

from __future__ import annotations

from collections.abc import Sequence

from observatory_common.errors import CommandFailed
from observatory_webd.store.settings import WebSettings

_KEPT_AS = "active_cameras"


class ActiveCameras:
    """Two names in the settings; the first and the second camera of the config until they are switched. Thread safe."""

    def __init__(self, settings: WebSettings, cameras: Sequence[str]) -> None:
        self._settings = settings
        self._cameras = tuple(cameras)

    def order(self) -> tuple[str, ...]:
        """All cameras: the active one, the second one, then the others as the config has them."""
        kept = [name for name in self._settings.get(_KEPT_AS, ()) if name in self._cameras]
        return (*kept, *(name for name in self._cameras if name not in kept))

    def switch(self) -> tuple[str, str]:
        """Have them change places, also after a restart; the active and the second one. Raises CommandFailed without two."""
        order = self.order()
        if len(order) < 2:
            raise CommandFailed("there is no other camera to switch to", value=len(order), allowed="2 cameras or more")
        switched = (order[1], order[0])
        self._settings.set(_KEPT_AS, switched)
        return switched
