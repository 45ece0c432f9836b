"""The later releases of blockers, and which of them are good."""
