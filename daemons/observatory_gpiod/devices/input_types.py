"""The inputs: raspiCamSrv's types, with its defaults where they differ from gpiozero's."""

from __future__ import annotations

from observatory_gpiod.devices.description import DeviceType, Event, Parameter, Parameters

_AT = "when, in microseconds of the monotonic clock; null if the backend does not stamp its edges"
_EDGE = {"active": "true if active now", "value": "1 if active, else 0", "at_us": _AT}
_ACTIVE = {"active": "true if active now", "value": "1 if active, else 0"}
_STEPS = {"steps": "counted since the start", "at_us": _AT}
_DISTANCE = {"active": "true if out of range", "distance_m": "the distance now, in metres"}

_EDGES_LOST = Event("edges_lost", "The backend lost edges", {"lost": "how many, at least", "at_us": _AT})

_BOUNCE_TIME = Parameter(
    "bounce_time", "number", "Ignore changes this soon after one; null: none", None, "s", 0.0001, 10, nullable=True
)
_ACTIVE_STATE = Parameter(
    "active_state", "boolean", "The level that means active; only for a floating pin (pull_up null)", None, nullable=True
)
_PARTIAL = Parameter("partial", "boolean", "Give readings before the queue is full", False)


def _pull_up(default: bool) -> Parameter:
    return Parameter(
        "pull_up", "boolean", "Pull the pin up (then low is active) or down; null: floating", default, nullable=True
    )


def _queue_len(default: int) -> Parameter:
    return Parameter("queue_len", "integer", "Readings that are averaged", default, None, 1, 1000)


def _sample_rate(default: float) -> Parameter:
    return Parameter("sample_rate", "number", "Readings per second", default, "Hz", 0.1, 1000)


def _threshold(default: float) -> Parameter:
    return Parameter("threshold", "number", "The average above which it is active", default, None, 0.001, 0.999)


def _floating(given: Parameters) -> tuple[str, str] | None:
    """gpiozero's rule: who floats must say which level is active, and nobody else may."""
    if given["pull_up"] is None and given["active_state"] is None:
        return "active_state", "is missing: a floating pin (pull_up null) must say which level is active"
    if given["pull_up"] is not None and given["active_state"] is not None:
        return "active_state", "is only for a floating pin (pull_up null); pull_up says which level is active"
    return None


def _near_and_far(given: Parameters) -> tuple[str, str] | None:
    if given["threshold_distance"] >= given["max_distance"]:
        return "threshold_distance", f"is not below max_distance ({given['max_distance']:g} m)"
    return None


def _edges(on: str, on_text: str, off: str, off_text: str) -> tuple[Event, ...]:
    return Event(on, on_text, _EDGE), Event(off, off_text, _EDGE), _EDGES_LOST


def _both(on: str, on_text: str, off: str, off_text: str) -> tuple[Event, Event]:
    return Event(on, on_text, _ACTIVE), Event(off, off_text, _ACTIVE)


INPUT_TYPES = (
    DeviceType(
        "Button",
        "A push button or switch",
        ("pin",),
        (
            _pull_up(True),
            _ACTIVE_STATE,
            _BOUNCE_TIME,
            Parameter("hold_time", "number", "How long it is pressed until it counts as held", 1.0, "s", 0, 3600),
            Parameter("hold_repeat", "boolean", "Tell of the hold again after each further hold_time", False),
        ),
        events=(
            *_edges("when_pressed", "It was pressed", "when_released", "It was released"),
            Event("when_held", "It has been pressed for hold_time", _ACTIVE),
        ),
        contradiction=_floating,
    ),
    DeviceType(
        "RotaryEncoder",
        "A knob with two contacts",
        ("a", "b"),
        (
            _BOUNCE_TIME,
            Parameter(
                "max_steps", "integer", "Steps each way until it stops counting or wraps; 0: no end", 16, None, 0, 1_000_000
            ),
            Parameter("threshold_steps", "range", "From and to which step it is active", (0, 0), None, -1_000_000, 1_000_000),
            Parameter("wrap", "boolean", "Go on from the other end instead of stopping at max_steps", False),
        ),
        events=(
            Event("when_rotated", "It was turned by a step", _STEPS),
            Event("when_rotated_clockwise", "It was turned clockwise by a step", _STEPS),
            Event("when_rotated_counter_clockwise", "It was turned counter-clockwise by a step", _STEPS),
            _EDGES_LOST,
        ),
    ),
    DeviceType(
        "LightSensor",
        "A light dependent resistor that charges a capacitor",
        ("pin",),
        (
            _queue_len(5),
            Parameter("charge_time_limit", "number", "Charging for longer than this is darkness", 0.01, "s", 0.0001, 10),
            _threshold(0.1),
            _PARTIAL,
        ),
        events=_both("when_light", "It got light", "when_dark", "It got dark"),
    ),
    DeviceType(
        "MotionSensor",
        "A passive infrared sensor",
        ("pin",),
        (_pull_up(True), _ACTIVE_STATE, _queue_len(1), _sample_rate(10.0), _threshold(0.5), _PARTIAL),
        events=_both("when_motion", "Something moves", "when_no_motion", "Nothing moves any more"),
        contradiction=_floating,
    ),
    DeviceType(
        "LineSensor",
        "An infrared sensor that sees a line",
        ("pin",),
        (_pull_up(False), _ACTIVE_STATE, _queue_len(5), _sample_rate(100.0), _threshold(0.5), _PARTIAL),
        events=_both("when_no_line", "The line is lost", "when_line", "A line is seen"),
        contradiction=_floating,
    ),
    DeviceType(
        "DistanceSensor",
        "An ultrasonic sensor HC-SR04",
        ("echo", "trigger"),
        (
            _queue_len(9),
            Parameter("max_distance", "number", "The largest distance that is told", 1.0, "m", 0.02, 10),
            Parameter("threshold_distance", "number", "Nearer than this is in range", 0.3, "m", 0.001, 10),
            _PARTIAL,
        ),
        events=(
            Event("when_in_range", "Something came nearer than threshold_distance", _DISTANCE),
            Event("when_out_of_range", "Nothing is nearer than threshold_distance any more", _DISTANCE),
        ),
        contradiction=_near_and_far,
    ),
    DeviceType(
        "DigitalInputDevice",
        "Any input that is high or low",
        ("pin",),
        (_pull_up(False), _ACTIVE_STATE, _BOUNCE_TIME),
        events=_edges("when_activated", "It became active", "when_deactivated", "It became inactive"),
        contradiction=_floating,
    ),
)
