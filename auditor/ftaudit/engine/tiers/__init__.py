"""The tiers of evidence, each run over the pins: index, binary, runtime and source."""
