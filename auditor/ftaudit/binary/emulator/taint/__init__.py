"""The values that depend on machine-specific unknowns: registers, memory, and the branches that follow from them."""
