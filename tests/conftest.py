"""What every test relies on: an interrupt reaches the processes that a test starts."""

import signal

# A shell that starts the suite in the background ignores SIGINT, and what ignores it hands that on.
signal.signal(signal.SIGINT, signal.default_int_handler)
