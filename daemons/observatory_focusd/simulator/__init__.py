"""The simulated focus controller: a program of its own that behaves as the real one does, faults included."""
