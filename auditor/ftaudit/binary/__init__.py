"""Reads what extension modules declare about the GIL out of their images, without running them."""
