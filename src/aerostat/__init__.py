"""Aerostat: a whole cloud operating system in one program."""

__version__ = "0.1.0"
