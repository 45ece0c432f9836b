"""Facts become verdicts: the one table that decides, what is wrong with a module, and the next step."""
