"""gpiod: owns the devices on the GPIO pins of one machine and shares them safely."""
