"""Everything stands in pyproject.toml; this is for tools that still ask for it."""

from setuptools import setup

setup()
