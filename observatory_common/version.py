"""The version of the installed package: the one place is the package's metadata."""

from __future__ import annotations


def software_version() -> str:
    """The version, or `unknown` when the package is not installed at all (run from a bare clone)."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import, seldom wanted

    try:
        return version("observatory-daemons")
    except PackageNotFoundError:
        return "unknown"
