"""Rules that judge the facts of a package: its wheels, declarations and imports."""
