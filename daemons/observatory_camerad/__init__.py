"""camerad: one camera, shared safely between live view, photos, raw frames, video and sequences."""
