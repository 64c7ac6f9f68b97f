"""The outputs that are switched, dimmed or sounded: raspiCamSrv's types with its defaults."""

from __future__ import annotations

from dataclasses import replace

from observatory_gpiod.devices.description import DeviceType, Event, Method, Parameter, Parameters

LONGEST_S = 86_400.0
KEEP_OFF_ON = ("keep", "off", "on")

CHANGED = Event(
    "changed",
    "The output changed; of the steps of a fade only the first light and the end are told",
    {
        "value": "the value now",
        "active": "true if it is not off",
        "cause": "the method, or on_start, on_stop, auto_off, idle_off",
    },
)
AUTO_OFF = Event("auto_off", "It was on for max_on_time and was switched off", {"after_s": "how long it was on, in seconds"})
AUTO_OFF_FAILED = Event("auto_off_failed", "It could not be switched off after max_on_time; tried again", {"error": "why"})
OUTPUT_EVENTS = (CHANGED, AUTO_OFF, AUTO_OFF_FAILED)

DURATION = Parameter("duration", "number", "Switch off after so long; null: never", None, "s", 0.001, LONGEST_S, nullable=True)
STOP = Method("stop", "Ends what is going on, and switches off")

_ACTIVE_HIGH = Parameter("active_high", "boolean", "True: on is high; false: on is low", True)
_FREQUENCY = Parameter("frequency", "integer", "Frequency of the pulses", 100, "Hz", 1, 10_000)
_TIMES = Parameter("n", "integer", "How often; null: until stopped", None, None, 1, 1_000_000_000, nullable=True)
_LEVEL = Parameter("value", "integer", "0: off, 1: on", None, None, 0, 1, required=True)
_BRIGHTNESS = Parameter("value", "number", "0: off, 1: full", None, None, 0, 1, required=True)
_COLOR = Parameter("value", "color", "Red, green and blue", required=True)
_ON_COLOR = Parameter("on_color", "color", "The colour when on", (1.0, 1.0, 1.0))
_OFF_COLOR = Parameter("off_color", "color", "The colour when off", (0.0, 0.0, 0.0))


def _seconds(name: str, description: str, default: float, minimum: float) -> Parameter:
    return Parameter(name, "number", description, default, "s", minimum, LONGEST_S)


_ON_OFF_TIMES = (_seconds("on_time", "How long on", 1.0, 0.001), _seconds("off_time", "How long off", 1.0, 0.001))
_FADES = (_seconds("fade_in_time", "How long to fade in", 0.0, 0), _seconds("fade_out_time", "How long to fade out", 0.0, 0))
_PULSE = (
    _seconds("fade_in_time", "How long to fade in", 1.0, 0.04),
    _seconds("fade_out_time", "How long to fade out", 1.0, 0.04),
)

ON = Method("on", "Switches on, for a time if `duration` says so", (DURATION,), long=True)
OFF = Method("off", "Switches off")
TOGGLE = Method("toggle", "Switches on what is off, and off what is on")
_BLINK = Method("blink", "Switches on and off again and again", (*_ON_OFF_TIMES, _TIMES), long=True)
_BEEP = replace(_BLINK, name="beep", effect="Sounds again and again")
_SET_LEVEL = Method("value", "Switches off (0) or on (1)", (_LEVEL,))
_SET_BRIGHTNESS = Method("value", "Sets the brightness", (_BRIGHTNESS,))


def _tones(parameter: Parameter, given: Parameters) -> Parameter:
    if parameter.kind != "tone":
        return parameter
    middle, reach = given["mid_tone"], 12 * given["octaves"]
    default = None if parameter.default is None else min(max(parameter.default, middle - reach), middle + reach)
    return replace(parameter, minimum=middle - reach, maximum=middle + reach, default=default)


def _tones_exist(given: Parameters) -> tuple[str, str] | None:
    low, high = given["mid_tone"] - 12 * given["octaves"], given["mid_tone"] + 12 * given["octaves"]
    if low < 0 or high > 127:
        return "octaves", f"is too many around mid_tone {given['mid_tone']}: notes go from 0 to 127, not from {low} to {high}"
    return None


def _whole_without_pwm(parameter: Parameter, given: Parameters) -> Parameter:
    """Without PWM a colour is made of 0 and 1 alone, and there are no fades."""
    if given["pwm"]:
        return parameter
    if parameter.name in ("fade_in_time", "fade_out_time"):
        return replace(parameter, default=0.0, minimum=0, maximum=0)
    return replace(parameter, description=f"{parameter.description}: each 0 or 1") if parameter.kind == "color" else parameter


OUTPUT_TYPES = (
    DeviceType(
        "LED",
        "A light that is on or off",
        ("pin",),
        (_ACTIVE_HIGH,),
        (ON, OFF, TOGGLE, _BLINK, _SET_LEVEL, STOP),
        OUTPUT_EVENTS,
        states=KEEP_OFF_ON,
        value=_LEVEL,
    ),
    DeviceType(
        "PWMLED",
        "A light that can be dimmed",
        ("pin",),
        (_ACTIVE_HIGH, _FREQUENCY),
        (
            ON,
            OFF,
            TOGGLE,
            replace(_BLINK, parameters=(*_ON_OFF_TIMES, *_FADES, _TIMES)),
            Method("pulse", "Fades in and out again and again", (*_PULSE, _TIMES), long=True),
            _SET_BRIGHTNESS,
            STOP,
        ),
        OUTPUT_EVENTS,
        states=KEEP_OFF_ON,
        value=_BRIGHTNESS,
    ),
    DeviceType(
        "RGBLED",
        "A light of three colours",
        ("red", "green", "blue"),
        (_ACTIVE_HIGH, Parameter("pwm", "boolean", "Mix any colour; false: each part is off or on", True)),
        (
            ON,
            OFF,
            TOGGLE,
            replace(_BLINK, parameters=(*_ON_OFF_TIMES, *_FADES, _ON_COLOR, _OFF_COLOR, _TIMES)),
            Method("pulse", "Fades between two colours", (*_PULSE, _ON_COLOR, _OFF_COLOR, _TIMES), long=True),
            Method("value", "Sets the colour", (_COLOR,)),
            STOP,
        ),
        OUTPUT_EVENTS,
        states=KEEP_OFF_ON,
        value=_COLOR,
        narrow=_whole_without_pwm,
    ),
    DeviceType(
        "Buzzer",
        "A buzzer of one tone",
        ("pin",),
        (_ACTIVE_HIGH,),
        (ON, OFF, TOGGLE, _BEEP, _SET_LEVEL, STOP),
        OUTPUT_EVENTS,
        states=KEEP_OFF_ON,
        value=_LEVEL,
    ),
    DeviceType(
        "TonalBuzzer",
        "A buzzer that plays tones",
        ("pin",),
        (
            Parameter("mid_tone", "tone", "The tone in the middle of what it can play", 69, None, 0, 127),
            Parameter("octaves", "integer", "How many octaves it can play to either side of mid_tone", 1, None, 1, 9),
        ),
        (
            Method(
                "play",
                "Plays a tone, for a time if `duration` says so",
                (Parameter("tone", "tone", "The tone", 69, None, 0, 127), DURATION),
                long=True,
            ),
            STOP,
        ),
        OUTPUT_EVENTS,
        states=("off",),
        value=Parameter("tone", "tone", "The tone", None, None, 0, 127, required=True),
        narrow=_tones,
        contradiction=_tones_exist,
    ),
    DeviceType(
        "DigitalOutputDevice",
        "Any output that is high or low, as a relay",
        ("pin",),
        (_ACTIVE_HIGH,),
        (ON, OFF, TOGGLE, _BLINK, _SET_LEVEL, STOP),
        OUTPUT_EVENTS,
        states=KEEP_OFF_ON,
        value=_LEVEL,
    ),
    DeviceType(
        "OutputDevice",
        "Any output that is high or low, as a relay",
        ("pin",),
        (_ACTIVE_HIGH,),
        (ON, OFF, TOGGLE, _SET_LEVEL, STOP),
        OUTPUT_EVENTS,
        states=KEEP_OFF_ON,
        value=_LEVEL,
    ),
)
