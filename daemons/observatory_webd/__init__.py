"""The web gateway: a browser's way to the daemons."""
