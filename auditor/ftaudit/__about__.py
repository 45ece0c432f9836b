"""The version of ftaudit, in a separate file so that `ftaudit --version` imports nothing else."""

__version__ = "0.1.0"
