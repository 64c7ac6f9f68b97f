"""The devices on the pins: the table of their types, the checks, and the wrappers over gpiozero."""
