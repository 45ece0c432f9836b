"""The emulated processor and process in which an init hook runs, and the search for the run that succeeds."""
