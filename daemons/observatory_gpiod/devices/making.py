"""From a device of the config to the object that drives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from observatory_gpiod.devices import drives, inputs, lights, servos, stepper
from observatory_gpiod.devices.base import Device, DeviceConfig, Hooks

#: The class of each type of the table, but for the servo on hardware PWM, which needs to know where that is.
CLASSES: Mapping[str, Callable[[DeviceConfig, Hooks], Device]] = MappingProxyType(
    {
        "Button": inputs.Button,
        "RotaryEncoder": inputs.RotaryEncoder,
        "LightSensor": inputs.LightSensor,
        "MotionSensor": inputs.MotionSensor,
        "LineSensor": inputs.LineSensor,
        "DistanceSensor": inputs.DistanceSensor,
        "DigitalInputDevice": inputs.DigitalInputDevice,
        "LED": lights.LED,
        "PWMLED": lights.PWMLED,
        "RGBLED": lights.RGBLED,
        "Buzzer": lights.Buzzer,
        "TonalBuzzer": drives.TonalBuzzer,
        "DigitalOutputDevice": lights.DigitalOutputDevice,
        "OutputDevice": lights.OutputDevice,
        "Servo": servos.Servo,
        "AngularServo": servos.AngularServo,
        "Motor": drives.Motor,
        "StepperMotor": stepper.StepperMotor,
    }
)


def make(config: DeviceConfig, hooks: Hooks | None = None, sysfs_pwm: Path | None = None) -> Device:
    """The device of a config, not yet open.

    `sysfs_pwm` is the folder of the kernel's PWM chips (/sys/class/pwm), None for a factory that is no Raspberry Pi:
    then a ServoPWM uses the factory's PWM.
    """
    hooks = hooks or Hooks()
    if config.type == "ServoPWM":
        return servos.ServoPWM(config, hooks, sysfs_pwm)
    return CLASSES[config.type](config, hooks)
