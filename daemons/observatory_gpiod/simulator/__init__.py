"""The simulated board: a program of its own that holds 28 GPIO lines and what is wired to them, and outlives gpiod."""
