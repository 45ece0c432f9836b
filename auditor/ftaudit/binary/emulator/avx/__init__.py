"""The AVX instructions that compilers use and that Unicorn does not emulate."""
