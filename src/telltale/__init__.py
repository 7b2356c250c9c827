"""Telltale: the help desk that tells you whether your reply arrived."""

__version__ = "0.1.0"
