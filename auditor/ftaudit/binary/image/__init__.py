"""Images of extension modules (ELF, Mach-O, PE): parsed, mapped and relocated."""
