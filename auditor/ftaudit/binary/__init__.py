"""Reads extension modules' GIL declarations from their images, without running them."""
