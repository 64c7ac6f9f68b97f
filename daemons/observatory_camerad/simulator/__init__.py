"""A camera that looks at a simulated sky and behaves like a Raspberry Pi's."""
