"""A scan of source code: `ftaudit scan`."""
