"""ftaudit: is this Python stack ready for free-threaded CPython?"""

from ftaudit.__about__ import __version__

__all__ = ["__version__"]
