"""Facts stores: facts about wheels, in one file that every machine can use."""
