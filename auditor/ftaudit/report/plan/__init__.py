"""A plan: `ftaudit plan`."""
