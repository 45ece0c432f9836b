"""The answers of imported functions while an init hook is emulated: libc, C++ runtimes and CPython."""
