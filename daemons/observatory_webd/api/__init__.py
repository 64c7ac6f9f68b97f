"""The API under /api/v1: everything that a page or a script can do."""
