"""Later releases of what blocks: which of them is good."""
