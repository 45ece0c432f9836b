"""Find, or else provide, the free-threaded interpreter that the audited modules run under."""

from ftaudit.interpreters.find import VARIABLE, find_in_environment, find_interpreter, option_of
from ftaudit.interpreters.probe import probe_interpreter
from ftaudit.interpreters.provide import provide_interpreter

__all__ = [
    "VARIABLE",
    "find_in_environment",
    "find_interpreter",
    "option_of",
    "probe_interpreter",
    "provide_interpreter",
]
