"""Facts about CPython versions as data: each with its source, and with the script that makes it again.

`suffixes` holds the file names of extension modules, `hooks` and `module_slots` what an initialization hook may
return, `abi` the checks that CPython makes of it, `stable_abi` and `exports` the symbols, `layouts` where the fields of
objects are, and `api_tables` what CPython documents of its C API.
"""
