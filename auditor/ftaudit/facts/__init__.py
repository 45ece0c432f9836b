"""Facts stores: what was learned of wheels, in one file that every machine can use."""
