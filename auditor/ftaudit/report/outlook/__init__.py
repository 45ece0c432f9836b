"""The outlook on the next release, as plans and migration reports show it."""
