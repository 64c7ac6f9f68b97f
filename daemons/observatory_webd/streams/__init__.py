"""Live pictures for many who look: one fetch from camerad per stream, one copy of each picture for all."""
