"""From the camera to taken frames: the thread that owns it, use cases, shots, sequences, autofocus."""
