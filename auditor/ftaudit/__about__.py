"""The version of ftaudit, alone in a file so that `ftaudit --version` imports nothing else."""

__version__ = "0.1.0"
