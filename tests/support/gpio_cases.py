"""What devices do: tables for gpiozero's mock pins and for a daemon on a simulated board alike."""

from __future__ import annotations

from typing import Any

from gpio_bench import hardware_servo, servo

from observatory_common.errors import InvalidArgument, Uncertain, UnknownMethod

FADES = [i / 5 for i in range(5)]  # 0.2 s at 25 steps a second
#: type, config, calls before, method, arguments, history of each pin
Case = tuple[str, dict[str, Any], list[tuple[str, dict[str, Any]]], str, dict[str, Any], dict[int, list[Any]]]
BLINK = {"on_time": 0.1, "off_time": 0.2, "n": 2}
BLINKED: list[Any] = [0, (0, 1), (0.1, 0), (0.2, 1), (0.1, 0)]
ON: list[tuple[str, dict[str, Any]]] = [("on", {})]


def switch_cases(type: str) -> list[Case]:
    return [
        (type, {}, [], "on", {}, {4: [0, 1]}),
        (type, {}, [], "on", {"duration": 0.1}, {4: [0, 1, (0.1, 0)]}),
        (type, {"active_high": False}, [], "on", {}, {4: [1, 0]}),
        (type, {}, ON, "off", {}, {4: [1, 0]}),
        (type, {}, ON, "toggle", {}, {4: [1, 0]}),
        (type, {}, [], "toggle", {}, {4: [0, 1]}),
        (type, {}, [], "value", {"value": 1}, {4: [0, 1]}),
        (type, {}, ON, "value", {"value": 0}, {4: [1, 0]}),
        (type, {}, ON, "stop", {}, {4: [1, 0]}),
    ]


FAST = {"speed": 0.01}
MIDDLE: list[tuple[str, dict[str, Any]]] = [("mid", {})]
GEAR = {"gear_reduction": 4}
STEPPED: list[tuple[str, dict[str, Any]]] = [("step", {})]
CASES: list[Case] = [
    *switch_cases("LED"),
    ("LED", {}, [], "blink", BLINK, {4: BLINKED}),
    *switch_cases("DigitalOutputDevice"),
    ("DigitalOutputDevice", {}, [], "blink", BLINK, {4: BLINKED}),
    *switch_cases("OutputDevice"),
    *switch_cases("Buzzer"),
    ("Buzzer", {}, [], "beep", BLINK, {4: BLINKED}),
    *switch_cases("PWMLED"),
    ("PWMLED", {}, [], "value", {"value": 0.25}, {4: [0, 0.25]}),
    ("PWMLED", {}, [("value", {"value": 0.25})], "toggle", {}, {4: [0.25, 0.75]}),
    ("PWMLED", {}, [], "blink", BLINK, {4: BLINKED}),
    (
        "PWMLED",
        {},
        [],
        "blink",
        {"on_time": 0.1, "off_time": 0.1, "fade_in_time": 0.2, "fade_out_time": 0.2, "n": 1},
        {4: [0, *((0.04, f) for f in FADES[1:]), (0.04, 1), (0.14, 0.8), *((0.04, 1 - f) for f in FADES[2:]), (0.04, 0)]},
    ),
    (
        "PWMLED",
        {},
        [],
        "pulse",
        {"fade_in_time": 0.2, "fade_out_time": 0.2, "n": 1},
        {4: [0, *((0.04, f) for f in FADES[1:]), (0.04, 1), *((0.04, 1 - f) for f in FADES[1:]), (0.04, 0)]},
    ),
    ("RGBLED", {}, [], "on", {}, {4: [0, 1], 5: [0, 1], 6: [0, 1]}),
    ("RGBLED", {}, [], "on", {"duration": 0.1}, {4: [0, 1, (0.1, 0)], 6: [0, 1, (0.1, 0)]}),
    ("RGBLED", {}, [("value", {"value": [1, 0, 0.5]})], "off", {}, {4: [1, 0], 5: [0], 6: [0.5, 0]}),
    ("RGBLED", {}, [("value", {"value": [1, 0, 0.25]})], "toggle", {}, {4: [1, 0], 5: [0, 1], 6: [0.25, 0.75]}),
    ("RGBLED", {}, [], "value", {"value": [0.25, 0, 1]}, {4: [0, 0.25], 5: [0], 6: [0, 1]}),
    ("RGBLED", {"pwm": False}, [], "value", {"value": [1, 0, 1]}, {4: [0, 1], 5: [0], 6: [0, 1]}),
    ("RGBLED", {}, ON, "stop", {}, {4: [1, 0], 5: [1, 0], 6: [1, 0]}),
    (
        "RGBLED",
        {},
        [],
        "blink",
        {**BLINK, "on_color": [1, 0.5, 0], "off_color": [0, 0, 0.5]},
        {4: BLINKED, 5: [0, (0, 0.5), (0.1, 0), (0.2, 0.5), (0.1, 0)], 6: [0, (0.1, 0.5), (0.2, 0), (0.1, 0.5)]},
    ),
    (
        "RGBLED",
        {},
        [],
        "pulse",
        {"fade_in_time": 0.2, "fade_out_time": 0.2, "n": 1, "on_color": [1, 0, 0]},
        {4: [0, *((0.04, f) for f in FADES[1:]), (0.04, 1), *((0.04, 1 - f) for f in FADES[1:]), (0.04, 0)], 5: [0]},
    ),
    ("TonalBuzzer", {}, [], "play", {}, {4: [0, 0.5]}),
    ("TonalBuzzer", {}, [], "play", {"tone": "A5", "duration": 0.1}, {4: [0, 0.5, (0.1, 0)]}),
    ("TonalBuzzer", {}, [("play", {"tone": 57})], "stop", {}, {4: [0.5, 0]}),
    ("Motor", {}, [], "forward", {}, {4: [0, 1], 5: [0]}),
    ("Motor", {}, [], "forward", {"speed": 0.5, "duration": 0.1}, {4: [0, 0.5, (0.1, 0)], 5: [0]}),
    ("Motor", {}, [("forward", {})], "backward", {"speed": 0.5}, {4: [1, 0], 5: [0, 0.5]}),
    ("Motor", {}, [("forward", {"speed": 0.5})], "reverse", {}, {4: [0.5, 0], 5: [0, 0.5]}),
    ("Motor", {}, [], "value", {"value": -0.25}, {4: [0], 5: [0, 0.25]}),
    ("Motor", {"pwm": False, "enable": 6}, [], "forward", {"speed": 1}, {4: [0, 1], 5: [0], 6: [1]}),
    ("Motor", {}, [("backward", {})], "stop", {}, {4: [0], 5: [1, 0]}),
    ("Servo", {}, MIDDLE, "value", {"value": -1}, {4: [servo(0.5), servo(0)]}),
    ("Servo", {}, MIDDLE, "min", {}, {4: [servo(0.5), servo(0)]}),
    ("Servo", {}, MIDDLE, "max", {}, {4: [servo(0.5), servo(1)]}),
    ("Servo", {"initial_value": 1}, [], "mid", {}, {4: [servo(1), servo(0.5)]}),
    ("Servo", {}, MIDDLE, "detach", {}, {4: [servo(0.5), 0]}),
    ("Servo", {}, MIDDLE, "stop", {}, {4: [servo(0.5)]}),
    ("AngularServo", {}, [], "angle", {"angle": -45}, {4: [0, servo(0.25)]}),
    ("AngularServo", {"initial_angle": 0}, [], "rotate_by", {"angle": 45}, {4: [servo(0.5), servo(0.75)]}),
    ("AngularServo", {}, MIDDLE, "min", {}, {4: [servo(0.5), servo(0)]}),
    ("AngularServo", {"min_angle": 90, "max_angle": -90}, MIDDLE, "max", {}, {4: [servo(0.5), servo(1)]}),
    ("AngularServo", {}, [("max", {})], "mid", {}, {4: [servo(1), servo(0.5)]}),
    ("AngularServo", {}, MIDDLE, "detach", {}, {4: [servo(0.5), 0]}),
    ("AngularServo", {}, [("angle", {"angle": 45})], "zero", {}, {4: [servo(0.75)]}),
    ("AngularServo", {}, MIDDLE, "stop", {}, {4: [servo(0.5)]}),
    ("ServoPWM", FAST, MIDDLE, "min", {}, {18: [hardware_servo(0.5), hardware_servo(0)]}),
    ("ServoPWM", FAST, MIDDLE, "max", {}, {18: [hardware_servo(0.5), hardware_servo(1)]}),
    ("ServoPWM", FAST, [], "mid", {}, {18: [0, hardware_servo(0.5)]}),
    ("ServoPWM", FAST, MIDDLE, "rotate_to", {"angle": 45}, {18: [hardware_servo(0.5), hardware_servo(0.75)]}),
    ("ServoPWM", FAST, MIDDLE, "rotate_by", {"angle": -45}, {18: [hardware_servo(0.5), hardware_servo(0.25)]}),
    ("ServoPWM", FAST, MIDDLE, "rotate_right", {"angle": 45}, {18: [hardware_servo(0.5), hardware_servo(0.75)]}),
    ("ServoPWM", FAST, MIDDLE, "rotate_left", {"angle": 45}, {18: [hardware_servo(0.5), hardware_servo(0.25)]}),
    (
        "ServoPWM",
        {"speed": 0.4, "idle_off": True},
        MIDDLE,
        "rotate_to",
        {"angle": 90},
        {18: [0, hardware_servo(1), (0.1, 0)]},
    ),
    ("ServoPWM", FAST, MIDDLE, "detach", {}, {18: [hardware_servo(0.5), 0]}),
    ("ServoPWM", FAST, MIDDLE, "zero", {}, {18: [hardware_servo(0.5)]}),
    ("ServoPWM", FAST, MIDDLE, "stop", {}, {18: [hardware_servo(0.5)]}),
    ("StepperMotor", GEAR, STEPPED, "off", {}, {4: [0], 5: [0], 6: [1, 0], 7: [0]}),
    ("StepperMotor", GEAR, STEPPED, "stop", {}, {6: [1], 7: [0]}),
    ("StepperMotor", GEAR, STEPPED, "zero", {}, {6: [1], 7: [0]}),
    ("StepperMotor", GEAR, STEPPED, "set_position", {"angle": 90}, {6: [1], 7: [0]}),
]
#: What changes no line, but is told.
NAMING = ("zero", "set_position")
#: method, arguments, by how many half steps of the motor a StepperMotor of gear_reduction 4 turns
TURNS: list[tuple[str, dict[str, Any], int]] = [
    ("step", {"steps": 2}, 8),
    ("step", {"steps": -2}, -8),
    ("step_forward", {}, 4),
    ("step_backward", {"steps": 3}, -12),
    ("rotate", {"angle": 45}, 32),
    ("rotate_by", {"angle": -45}, -32),
    ("rotate_right", {"angle": 22.5}, 16),
    ("rotate_left", {"angle": 22.5}, -16),
    ("rotate_to", {"target": -22.5}, -16),
    ("swing", {}, 6),
    ("wipe", {"angle_from": -10, "angle_to": 10, "count": 1}, 0),
]
#: type, method, arguments, error, what its message says
BAD_CALLS: list[tuple[str, Any, Any, type[Exception], str]] = [
    ("LED", "close", {}, UnknownMethod, "expected on, off, toggle, blink, value, stop"),
    ("LED", "pulse", {}, UnknownMethod, "LED has no method 'pulse'"),
    ("LED", "blnk", {}, UnknownMethod, "did you mean blink?"),
    *(
        ("LED", name, {}, UnknownMethod, "LED has no method")
        for name in ("__class__", "__del__", "_write", "pin", "METHODS", "", "on ", None, 3, ["on"], {}, "_on")
    ),
    ("Button", "stop", {}, UnknownMethod, "none: it is an input"),
    ("LED", "on", None, InvalidArgument, "arguments is None, expected an object"),
    ("LED", "on", [1], InvalidArgument, "expected an object"),
    ("LED", "on", {"durations": 1}, InvalidArgument, "expected duration; did you mean duration?"),
    ("LED", "on", {3: 1}, InvalidArgument, "has no argument 3, expected duration"),
    ("LED", "off", {"duration": 1}, InvalidArgument, "expected none"),
    ("LED", "value", {}, InvalidArgument, "lacks the argument value"),
    *(
        ("PWMLED", "value", {"value": value}, InvalidArgument, "expected a number from 0 to 1")
        for value in (1.01, -0.01, float("nan"), float("inf"), -float("inf"), 10**400, True, None, "1", [1], {}, b"1")
    ),
    *(("LED", "value", {"value": value}, InvalidArgument, "a whole number") for value in (0.5, 2, True, float("nan"), None)),
    *(("LED", "blink", {"n": n}, InvalidArgument, "or null") for n in (0, -1, 1.5, True, "3", 10**12)),
    *(("LED", "blink", {"on_time": t}, InvalidArgument, "from 0.001") for t in (0, -1, 1e9, float("nan"), None)),
    *(("RGBLED", "value", {"value": v}, InvalidArgument, "value is") for v in ([1, 1], [1, 1, 2], "red", 1, [1, 1, True])),
    *(("TonalBuzzer", "play", {"tone": t}, InvalidArgument, "tone is") for t in (56, 82, "B5", "H4", "A", 69.5, True, None)),
    *(("AngularServo", "angle", {"angle": a}, InvalidArgument, "angle is") for a in (90.1, -91, float("nan"), None)),
    ("AngularServo", "rotate_by", {"angle": 10}, Uncertain, "its angle is not known"),
    ("Motor", "forward", {"speed": -0.1}, InvalidArgument, "speed is -0.1"),
    ("Motor", "forward", {"speed": 0, "duration": 1}, InvalidArgument, "at speed 0"),
    ("StepperMotor", "rotate", {"angle": 36001}, InvalidArgument, "from -36000 to 36000"),
    ("StepperMotor", "step", {"steps": 99_999}, InvalidArgument, "within 36000 degrees"),
    ("StepperMotor", "rotate_right", {"angle": -1}, InvalidArgument, "from 0 to 36000"),
    ("StepperMotor", "wipe", {"angle_from": 1, "angle_to": 1.01, "count": 0}, InvalidArgument, "or more from angle_from"),
]
#: type, config, method, arguments of what goes on for long
LONG: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("LED", {}, "on", {"duration": 60}),
    ("LED", {}, "blink", {"on_time": 60}),
    ("LED", {}, "blink", {"on_time": 0.001, "off_time": 0.001}),
    ("DigitalOutputDevice", {}, "blink", {}),
    ("Buzzer", {}, "beep", {}),
    ("PWMLED", {}, "blink", {"fade_in_time": 5}),
    ("PWMLED", {}, "pulse", {}),
    ("RGBLED", {}, "pulse", {}),
    ("TonalBuzzer", {}, "play", {"duration": 60}),
    ("Motor", {}, "forward", {"duration": 60}),
    ("ServoPWM", {"initial_angle": 0}, "max", {}),
    ("StepperMotor", {}, "rotate", {"angle": 360}),
    ("StepperMotor", {}, "wipe", {"count": 0}),
    ("StepperMotor", {"speed": 0}, "swing", {}),
]
