"""Rules that check the facts of a package: its wheels, declarations and imports."""
