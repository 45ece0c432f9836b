"""Reports for several targets of one run, side by side."""
