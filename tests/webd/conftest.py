"""A webd with a camera, a focuser and a GPIO daemon behind it, or alone, for all tests of a module that do no lasting harm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import webd
from cameras import Camerad
from streaming import StreamServer


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webd.Rig]:
    """All kinds of daemons behind one webd, whose first administrator is made."""
    with webd.running(
        tmp_path_factory.mktemp("rig"), cameras_named=["cam1"], focusers_named=["focus1"], gpios_named={"gpio1": webd.GPIO}
    ) as found:
        found.web.administrator().close()
        yield found


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webd.Webd]:
    """A webd alone, with its administrator."""
    with webd.alone(tmp_path_factory.mktemp("web")) as running:
        yield running


@pytest.fixture
def administrator(rig: webd.Rig) -> Iterator[webd.Browser]:
    """Somebody who may do everything."""
    with rig.web.browser() as browser:
        browser.log_in(webd.ADMINISTRATOR)
        yield browser


@pytest.fixture(scope="module")
def camerad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Camerad]:
    """A camera whose streams are looked at."""
    running = Camerad(tmp_path_factory.mktemp("camerad"))
    running.start()
    yield running
    running.end()


@pytest.fixture
def server(camerad: Camerad) -> Iterator[StreamServer]:
    """A server of its streams alone."""
    with StreamServer({"cam": camerad.connect}) as running:
        yield running
