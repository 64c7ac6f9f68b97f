"""The outputs that move something: servos, motors, the stepper motor."""

from __future__ import annotations

from dataclasses import replace

from observatory_gpiod.devices.description import DeviceType, Event, Method, Parameter, Parameters
from observatory_gpiod.devices.output_types import DURATION, OUTPUT_EVENTS

FURTHEST_DEG = 36_000.0
HARDWARE_PWM_PINS = (12, 13, 18, 19)
_MOST_STEPS = 100_000

_MOVED = Event(
    "moved",
    "A move ended",
    {
        "angle": "the angle now, in degrees",
        "position_steps": "the same in steps of the motor",
        "outcome": "arrived, stopped or failed",
        "missed_deadlines": "steps of this move that came more than a step late",
    },
)
_MOVING = Event("moving", "A move begins", {"angle": "the angle now, in degrees", "target": "where it goes, in degrees"})

_SPEED = Parameter("speed", "number", "0: stands, 1: full speed", 1.0, None, 0, 1)
_VALUE = Parameter("value", "number", "-1: one end, 0: the middle, 1: the other end", None, None, -1, 1, required=True)
_ANGLE = Parameter("angle", "number", "The angle", None, "degrees", -FURTHEST_DEG, FURTHEST_DEG, required=True)
_BY = replace(_ANGLE, description="By how much; negative: the other way")
_HOW_FAR = replace(_ANGLE, description="By how much", minimum=0)

_MIN = Method("min", "Goes to the lower end")
_MAX = Method("max", "Goes to the upper end")
_MID = Method("mid", "Goes to the middle")
_DETACH = Method("detach", "Ends the pulses: the shaft is free")
_ZERO = Method("zero", "Calls the present angle 0; nothing moves")
_HOLD = Method("stop", "Ends what is going on, and stays where it is")


def _seconds(name: str, description: str, default: float) -> Parameter:
    return Parameter(name, "number", description, default, "s", 0.0001, 0.1)


_FRAME = _seconds("frame_width", "Time from one pulse to the next", 0.02)
_PULSES = (
    _seconds("min_pulse_width", "Length of the pulse at the lower end", 0.001),
    _seconds("max_pulse_width", "Length of the pulse at the upper end", 0.002),
    _FRAME,
)
_LONG_PULSES = (replace(_PULSES[0], default=0.0005), replace(_PULSES[1], default=0.0025), _FRAME)
_ANGLES = (
    Parameter("min_angle", "number", "The angle of the shortest pulse", -90.0, "degrees", -360, 360),
    Parameter("max_angle", "number", "The angle of the longest pulse", 90.0, "degrees", -360, 360),
)


def _pulses_in_order(given: Parameters) -> tuple[str, str] | None:
    if given["min_pulse_width"] >= given["max_pulse_width"]:
        return "min_pulse_width", f"is not below max_pulse_width ({given['max_pulse_width']:g} s)"
    if given["max_pulse_width"] >= given["frame_width"]:
        return "max_pulse_width", f"is not below frame_width ({given['frame_width']:g} s)"
    return None


def _two_angles(given: Parameters) -> tuple[str, str] | None:
    if given["min_angle"] == given["max_angle"]:
        return "max_angle", "is the same as min_angle"
    return _pulses_in_order(given)


def _within_angles(parameter: Parameter, given: Parameters) -> Parameter:
    """An angle to go to lies between the device's own, one to turn by is no larger than their difference."""
    low, high = sorted((given["min_angle"], given["max_angle"]))
    if parameter is _ANGLE:
        # `zero` may shift the scale by up to its whole length; the device itself refuses what it cannot reach
        return replace(parameter, minimum=2 * low - high, maximum=2 * high - low)
    if parameter in (_BY, _HOW_FAR):
        return replace(parameter, minimum=low - high if parameter is _BY else 0, maximum=high - low)
    return parameter


def _whole_without_pwm(parameter: Parameter, given: Parameters) -> Parameter:
    return parameter.whole() if not given["pwm"] and parameter.name in ("speed", "value") else parameter


def _swing_in_order(given: Parameters) -> tuple[str, str] | None:
    if given["swing_from"] >= given["swing_to"]:
        return "swing_from", f"is not below swing_to ({given['swing_to']:g} degrees)"
    return ("swing_direction", "is neither 1 nor -1") if given["swing_direction"] == 0 else None


def _whole_steps(default: int, minimum: int) -> Parameter:
    text = "How many steps; a step is gear_reduction steps of the motor, 5.625 degrees (full step mode: 11.25)"
    return Parameter("steps", "integer", text, default, None, minimum, _MOST_STEPS)


_STEPPER_METHODS = (
    Method("step", "Turns by whole steps; negative: counter-clockwise", (_whole_steps(1, -_MOST_STEPS),), long=True),
    Method("step_forward", "Turns clockwise by whole steps", (_whole_steps(1, 0),), long=True),
    Method("step_backward", "Turns counter-clockwise by whole steps", (_whole_steps(1, 0),), long=True),
    Method("rotate", "Turns by an angle", (_BY,), long=True),
    Method("rotate_by", "Turns by an angle", (_BY,), long=True),
    Method("rotate_right", "Turns clockwise by an angle", (_HOW_FAR,), long=True),
    Method("rotate_left", "Turns counter-clockwise by an angle", (_HOW_FAR,), long=True),
    Method("rotate_to", "Turns to an angle", (replace(_ANGLE, name="target"),), long=True),
    Method("swing", "Turns by swing_step, and back again at swing_from and swing_to", long=True),
    Method(
        "wipe",
        "Turns between two angles again and again, and back to where it was",
        (
            replace(_ANGLE, name="angle_from", default=-45.0, required=False, description="One end"),
            replace(_ANGLE, name="angle_to", default=45.0, required=False, description="The other end"),
            replace(_SPEED, description="0: slowest (40 ms for a step of the motor), 1: fastest (1 ms)"),
            Parameter("count", "integer", "How often; 0: until stopped", 1, None, 0, 1_000_000),
        ),
        long=True,
    ),
    _HOLD,
    Method("off", "Ends what is going on, and takes the current off the coils"),
    Method("set_position", "Calls the present angle so; nothing moves", (_ANGLE,)),
    _ZERO,
)

MOTION_TYPES = (
    DeviceType(
        "Servo",
        "A servo, by value",
        ("pin",),
        _PULSES,
        (Method("value", "Goes to a value", (_VALUE,)), _MIN, _MID, _MAX, _DETACH, _HOLD),
        OUTPUT_EVENTS,
        states=("keep", "off"),
        value=_VALUE,
        start="keep",
        contradiction=_pulses_in_order,
    ),
    DeviceType(
        "AngularServo",
        "A servo, by angle",
        ("pin",),
        (*_ANGLES, *_PULSES),
        (
            Method("angle", "Goes to an angle", (_ANGLE,)),
            Method("rotate_by", "Turns by an angle", (_BY,)),
            _MIN,
            _MID,
            _MAX,
            _DETACH,
            _ZERO,
            _HOLD,
        ),
        OUTPUT_EVENTS,
        states=("keep", "off"),
        value=_ANGLE,
        start="keep",
        narrow=_within_angles,
        contradiction=_two_angles,
    ),
    DeviceType(
        "ServoPWM",
        "A servo on a hardware PWM pin",
        ("pin",),
        (
            *_ANGLES,
            *_LONG_PULSES,
            Parameter("speed", "number", "How long the servo takes for 360 degrees", 2.8, "s", 0.01, 100),
            Parameter("idle_off", "boolean", "End the pulses when it has arrived", False),
        ),
        (
            Method("min", "Goes to the lower end", long=True),
            Method("max", "Goes to the upper end", long=True),
            Method("mid", "Goes to the middle", long=True),
            Method("rotate_to", "Turns to an angle", (_ANGLE,), long=True),
            Method("rotate_by", "Turns by an angle", (_BY,), long=True),
            Method("rotate_right", "Turns clockwise by an angle", (_HOW_FAR,), long=True),
            Method("rotate_left", "Turns counter-clockwise by an angle", (_HOW_FAR,), long=True),
            _DETACH,
            _ZERO,
            _HOLD,
        ),
        OUTPUT_EVENTS,
        states=("keep", "off"),
        value=_ANGLE,
        start="keep",
        narrow=_within_angles,
        contradiction=_two_angles,
        only_pins=HARDWARE_PWM_PINS,
    ),
    DeviceType(
        "Motor",
        "A motor on an H bridge",
        ("forward", "backward"),
        (Parameter("pwm", "boolean", "Any speed; false: stand or full speed", True),),
        (
            Method("forward", "Runs forward, for a time if `duration` says so", (_SPEED, DURATION), long=True),
            Method("backward", "Runs backward, for a time if `duration` says so", (_SPEED, DURATION), long=True),
            Method("reverse", "Runs the other way at the same speed"),
            Method("value", "Runs at a speed; negative: backward", (replace(_VALUE, description="Speed and direction"),)),
            Method("stop", "Stands still"),
        ),
        OUTPUT_EVENTS,
        optional_pins=("enable",),
        states=("off",),
        value=replace(_VALUE, description="Speed and direction"),
        narrow=_whole_without_pwm,
    ),
    DeviceType(
        "StepperMotor",
        "A stepper motor 28BYJ-48 on a driver ULN2003",
        ("in1", "in2", "in3", "in4"),
        (
            Parameter("mode", "integer", "0: half steps, 1: full steps", 0, None, 0, 1),
            replace(_SPEED, description="0: slowest (40 ms for a step of the motor; full step: 80), 1: fastest (1 ms; 2)"),
            Parameter("swing_from", "number", "Lower end of the swing", -45.0, "degrees", -360, 360),
            Parameter("swing_to", "number", "Upper end of the swing", 45.0, "degrees", -360, 360),
            Parameter("swing_step", "number", "By how much one swing turns", 9.0, "degrees", 0.1, 360),
            Parameter("swing_direction", "integer", "1: the first swing is clockwise, -1: the other way", 1, None, -1, 1),
            Parameter("stride_angle", "number", "A half step of the motor, before the gear", 5.625, "degrees", 0.01, 90),
            Parameter("gear_reduction", "integer", "Turns of the motor for one of the shaft", 64, None, 1, 10_000),
        ),
        _STEPPER_METHODS,
        (_MOVING, _MOVED, *OUTPUT_EVENTS),
        states=("keep", "off"),
        contradiction=_swing_in_order,
    ),
)
