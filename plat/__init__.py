"""The ground floor: the words every part shares. Imports nothing from the floors above."""

from importlib.metadata import version

__version__ = version("plat")
