"""What imported functions answer while an init hook is emulated: libc, C++ runtimes and CPython."""
