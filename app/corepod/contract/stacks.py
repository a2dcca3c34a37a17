"""How a worker shows where its threads and tasks are: the signals that ask for it, and the form of what it writes."""

from __future__ import annotations

import signal

# Applications use real-time signals rarely, and then the first ones. A process without a handler is ended by them.
STACKS_SIGNAL = signal.SIGRTMAX - 3  # asks the interpreter for stacks; SIGQUIT asks the C code beside it
STALL_SIGNAL = signal.SIGRTMAX - 4  # of the timer that each worker sets for itself
NEWEST_FIRST = "(most recent call first):"  # stands behind the name of each thread, as the interpreter itself has it
ASKED = "Current thread"  # the name of the one that shows them begins with it
TASKS = "Tasks: "  # how many there are stands behind it
TASKS_END = "End of tasks."
