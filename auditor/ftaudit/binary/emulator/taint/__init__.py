"""What depends on what only the machine knows: registers, memory, and the branches that follow from them."""
