"""A report of packages: `check` and `wheel`."""
