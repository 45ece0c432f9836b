"""Rules for C and C++ sources."""
