"""Rules for build files: `setup.py`, `pyproject.toml`, Meson, CMake, Cargo and CI."""
