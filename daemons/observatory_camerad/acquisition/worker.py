"""The one thread that owns the camera: opens it, hands its frames on, opens it again when it fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from observatory_camerad.acquisition.failures import Failures
from observatory_camerad.acquisition.frames import Frame
from observatory_camerad.acquisition.inbox import Inbox
from observatory_camerad.acquisition.session import STALLED_AFTER_S, Session
from observatory_camerad.acquisition.shots import Change, Reconfiguration, Shot
from observatory_camerad.acquisition.use_cases import Transform, defaults, standing
from observatory_camerad.drivers.base import CameraDriver, Capabilities, Configuration
from observatory_camerad.settings import Settings
from observatory_common.errors import CommandFailed, DeviceLost, NotConnected, ObservatoryError

log = logging.getLogger("camerad.worker")

_LOOK_EVERY_S = 0.5
_BACK_WITHIN_S = 5.0
_OPENED_WITHIN_S = 60.0  # cameras that are sent their firmware first need so long


class Worker:
    """Runs the camera. What it knows is read from other threads without waiting.

    `on_event` is told `camera_lost` and `camera_back`, `on_closed` whenever no frames come any more, and why; `consumers`
    get every frame. All in the camera's thread.
    """

    def __init__(
        self,
        driver: CameraDriver,
        settings: Settings,
        transform: Transform,
        failures: Failures,
        consumers: Iterable[Callable[[Frame], None]],
        on_event: Callable[[str, dict[str, Any]], None],
        on_closed: Callable[[str], None],
    ) -> None:
        self.capabilities: Capabilities | None = None
        self.last_error: str | None = None
        self.use_cases_refused: str | None = None
        self.frame_at: float | None = None
        self._driver = driver
        self._settings = settings
        self._transform = transform
        self._failures = failures
        self._consumers = tuple(consumers)
        self._on_event = on_event
        self._on_closed = on_closed
        self._held: Configuration | None = None
        self._holding = threading.Lock()
        self._inbox = Inbox()
        self._session: Session | None = None
        self._frames = 0
        self._gap_s: float | None = None
        self._wanted = True
        self._closing = threading.Event()
        self._woken = threading.Event()
        self._changed = threading.Condition()
        self._progress_at = time.monotonic()
        self._opening = False
        self._lost_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="camerad-worker", daemon=True)

    # from any thread

    @property
    def state(self) -> str:
        """`offline` (told to be), `initializing`, `idle` (frames come)."""
        if not self._wanted:
            return "offline"
        return "idle" if self._session is not None else "initializing"

    @property
    def session(self) -> Session | None:
        """What is open now."""
        return self._session

    @property
    def configuration(self) -> Configuration | None:
        """As the camera has it; None without a camera."""
        session = self._session
        return None if session is None else session.configuration

    @property
    def wanted_configuration(self) -> Configuration | None:
        """As it was asked of the camera; None without a camera."""
        session = self._session
        return None if session is None else session.wanted

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Those of the latest frame; empty without a camera."""
        session = self._session
        return {} if session is None else session.metadata

    @property
    def frames(self) -> int:
        """How many have come in this run."""
        session = self._session
        return self._frames if session is None else session.frames

    @property
    def gap_s(self) -> float | None:
        """How long the last change of configuration kept the standing one without frames."""
        session = self._session
        return self._gap_s if session is None or session.gap_s is None else session.gap_s

    @property
    def frame_s(self) -> float:
        """How long the frame under way may take."""
        session = self._session
        return 0.1 if session is None else session.longest_frame_s()

    @property
    def controls_refused(self) -> dict[str, str]:
        """Controls that are set and do not fit this camera, and why."""
        session = self._session
        return {} if session is None else session.refused

    @property
    def failures_in_a_row(self) -> int:
        """Over restarts too, until frames have come for a minute."""
        return self._failures.in_a_row

    @property
    def alert(self) -> bool:
        """Whether it has failed so often that it is tried rarely, and the daemon stays without it."""
        return self._failures.alert

    def start(self) -> None:
        """Begin to open the camera."""
        self._thread.start()

    def last_progress(self) -> float:
        """When it last showed life, on the monotonic clock; while a camera is being opened or closed it has longer."""
        now = time.monotonic()
        return now if self._opening and now - self._progress_at < _OPENED_WITHIN_S else self._progress_at

    def must_restart(self) -> str | None:
        """Why only a new process can help: the camera's library does not return, or the camera is lost and not back.

        To be asked by one thread, which ends the process when told a reason.
        """
        now = time.monotonic()
        silent_s = now - self._progress_at
        bound_s = _OPENED_WITHIN_S if self._opening else STALLED_AFTER_S + _BACK_WITHIN_S
        if silent_s > bound_s + _LOOK_EVERY_S:
            self._failures.stuck()  # the camera's thread cannot count it any more
            return f"the camera's library has not returned for {silent_s:.0f} s"
        lost_at = self._lost_at
        if lost_at is not None and now - lost_at > _BACK_WITHIN_S and self._wanted and not self._failures.alert:
            return f"the camera was lost {now - lost_at:.0f} s ago ({self.last_error})"
        return None

    def close(self, deadline_s: float) -> None:
        """Let go of the camera and end the thread."""
        self._closing.set()
        self._let_go()
        self._thread.join(deadline_s)
        if self._thread.is_alive():
            log.error("the camera's thread did not end within %g s", deadline_s)

    def want(self, open_it: bool) -> None:
        """Whether the camera is to be open; waits up to 4 s for it."""
        self._wanted = open_it
        if open_it:
            self._woken.set()
        else:
            self._let_go()
        with self._changed:
            self._changed.wait_for(lambda: (self._session is not None) == open_it, 4.0)

    def take(self, shot: Shot) -> None:
        """Have a frame taken. Raises NotConnected without a camera, Blocked when too many wait."""
        self.require()
        self._inbox.add_shot(shot)

    def cancel(self, shot: Shot) -> bool:
        """Do without it; False if it is not waiting any more, so that its outcome has been told or will be."""
        return self._inbox.remove(shot)

    def change(self, values: Mapping[str, Any]) -> Change:
        """Have controls changed. Raises NotConnected without a camera."""
        self.require()
        return self._inbox.add_change(values)

    def reconfigure(self, wanted: Configuration, held: bool = False) -> Reconfiguration:
        """Have another standing configuration; while it is held, no shot may leave it. Raises NotConnected."""
        with self._holding:
            if held:
                self.require()  # without a camera nothing is held, and a hold is let go
            self._held = wanted if held else None
            self.require()
            self.use_cases_refused = None
            return self._inbox.add_reconfiguration(wanted, held)

    def require(self) -> Session:
        """What is open now. Raises NotConnected."""
        session = self._session
        if session is None:
            raise NotConnected(f"the camera is not there: {self.last_error or self.state}")
        return session

    def _let_go(self) -> None:
        self._woken.set()
        self._driver.interrupt()

    # in its own thread

    def _run(self) -> None:
        self._pause(self._failures.first_pause_s)
        while not self._closing.is_set():
            self._progress_at = time.monotonic()
            self._woken.clear()
            if not self._wanted:
                self._lost_at = None
                self._inbox.fail(DeviceLost("the camera was shut down"), all_shots=True)  # what came in that moment
                self._woken.wait(_LOOK_EVERY_S)
                continue
            session: Session | None = None
            pause_s = 0.0
            try:
                session = self._open()
                self._stream(session)
            except ObservatoryError as error:
                pause_s = self._failed(error, session)
            except Exception as error:
                log.exception("unexpected error of the camera")
                pause_s = self._failed(error, session)
            finally:
                self._shut(session)
            self._pause(pause_s)

    def _open(self) -> Session:
        self._opening = True
        try:
            session = Session(self._driver, self._inbox, self._settings, self._transform, self._consumers, self._frames)
            self._settings.configure_defaults(defaults(session.capabilities, self._settings.configured()))
            self._configure_somehow(session)
        finally:
            self._opening = False
            self._progress_at = time.monotonic()
        self.capabilities = session.capabilities
        return session

    def _configure_somehow(self, session: Session) -> None:
        """As set, else as configured, else as the camera itself would have it: no setting may keep it shut."""
        held = self._held
        if held is not None:
            try:
                session.configure(held, held=True)
            except CommandFailed as error:  # another camera may stand in its place
                log.error("the configuration of the recording cannot be had: %s", error)
            else:
                return
        ways = [
            ("the use cases that were set", self._settings.use_cases()),
            ("the configured use cases", self._settings.configured()),
            ("the camera's own use cases", defaults(session.capabilities, {})),
        ]
        self.use_cases_refused = None
        for number, (what, cases) in enumerate(ways):
            try:
                session.configure(standing(cases, self._transform), held=False)
            except CommandFailed as error:
                if number == len(ways) - 1:
                    raise
                self.use_cases_refused = self.use_cases_refused or f"{what} cannot be had: {error}"
                log.error("%s cannot be had: %s", what, error)
            else:
                return

    def _stream(self, session: Session) -> None:
        while self._wanted and not self._closing.is_set():
            self._progress_at = time.monotonic()
            if session.step(_LOOK_EVERY_S) is None:
                continue
            self.frame_at = time.monotonic()
            if self._session is None:
                self._arrived(session)
            self._failures.frame()

    def _arrived(self, session: Session) -> None:
        """Its first frame: only now it is there."""
        self.last_error = None
        lost_at, self._lost_at = self._lost_at, None
        with self._holding:  # what follows from it comes before any order of who finds the camera there
            if session.held and self._held is None:  # let go while the camera was being opened
                self._inbox.add_reconfiguration(standing(self._settings.use_cases(), self._transform), held=False)
            self._session = session
        if lost_at is not None:
            self._on_event("camera_back", {"after_s": round(time.monotonic() - lost_at, 3)})
        log.info("the camera is open: %s", session.capabilities.model)
        with self._changed:
            self._changed.notify_all()

    def _failed(self, error: Exception, session: Session | None) -> float:
        if str(error) != self.last_error:
            log.error("%s", error)
        self.last_error = str(error)
        if session is None:
            return self._failures.not_there()
        was_there = self._session is session
        self._leave(session)  # who hears of it does not find it there any more
        if was_there:
            self._lost_at = time.monotonic()
            self._on_event("camera_lost", {"error": self.last_error})
        was_alert = self._failures.alert
        pause_s = self._failures.failed()
        if self._failures.alert and not was_alert:
            self._on_event("camera_alert", {"failures_in_a_row": self._failures.in_a_row, "error": self.last_error})
        return pause_s

    def _pause(self, pause_s: float) -> None:
        until = time.monotonic() + pause_s
        while not self._closing.is_set() and (left_s := until - time.monotonic()) > 0:
            self._progress_at = time.monotonic()
            self._inbox.fail(DeviceLost(f"the camera was lost: {self.last_error}"), all_shots=False)  # whose time has come
            if self._woken.wait(min(left_s, _LOOK_EVERY_S)):
                return  # somebody has asked for the camera, or to do without it: both perhaps, one right after the other

    def _leave(self, session: Session | None) -> None:
        """It is there for nobody any more; what it counted stays."""
        if session is not None:
            self._frames = session.frames
            self._gap_s = session.gap_s if session.gap_s is not None else self._gap_s
        self._session = None

    def _shut(self, session: Session | None) -> None:
        by_hand = not self._wanted  # as of now: it may be wanted again while it is being closed
        self._leave(session)
        self._opening = True  # closing may take as long
        self._progress_at = time.monotonic()
        try:
            self._driver.close()
        except (ObservatoryError, OSError, RuntimeError) as failure:
            log.error("closing the camera: %s", failure)
        self._opening = False
        if session is not None:
            why = "it was shut down" if by_hand else self.last_error or "it was closed"
            session.end(DeviceLost(f"the camera was lost: {why}"), all_shots=by_hand)
            self._on_closed(why)
        with self._changed:
            self._changed.notify_all()
