"""Finds which extension modules the user's own code loads, when, and through what: an abstract run of module code."""
