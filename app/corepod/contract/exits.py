"""How the supervisor ends, and which signals it understands."""

# Exit codes of the supervisor, and so of the container.
EXIT_OK = 0  # asked to stop
EXIT_INTERNAL = 1  # a fault of corepod's own
EXIT_SETTINGS = 2  # bad command line, variable or file; unsupported platform; limits too low
EXIT_BOOT = 3  # the application raised while it was imported or started
EXIT_APP = 4  # the module or the attribute isn't there, or isn't an application
EXIT_BUDGET = 5  # every slot has used up its crash budget
EXIT_BIND = 6  # an address can't be bound
# Of the commands that ask a running pool for something.
EXIT_FAILED = 7  # the pool refused it, or it failed
EXIT_NO_POOL = 8  # no such pool runs, or it can't be reached
EXIT_LATE = 9  # it was asked for, and wasn't done within --timeout

EXIT_CODES = {
    EXIT_OK: "stopped as asked (TERM, INT)",
    EXIT_INTERNAL: "an internal error; the traceback is in the log",
    EXIT_SETTINGS: "bad settings (flag, variable or file), unsupported platform, or limits too low",
    EXIT_BOOT: "the application raised an exception while it was imported or started, 3 times (an import that "
    "is watched on a terminal: once)",
    EXIT_APP: "the application can't be found, or isn't an ASGI or WSGI application",
    EXIT_BUDGET: "every slot has used up its crash budget",
    EXIT_BIND: "an address can't be bound",
}
# The exit codes of commands that ask a running pool for something; 0 and 2 mean the same as above.
COMMAND_CODES = {
    EXIT_FAILED: "the pool refused what was asked, or it failed, or the output can't be written; the reason is on "
    "standard error",
    EXIT_NO_POOL: "no pool of this name runs, or it can't be reached; without a name: none runs, or several do",
    EXIT_LATE: "it was asked for, and was not done within `--timeout`; the pool goes on with it (`start`: the pool "
    "is stopped)",
}

# Signals to the supervisor. Any other is ignored with a line in the log.
SIGNALS = {
    "TERM, INT": "drain and stop within `stop_timeout`; a second one stops at once",
    "QUIT": "stop at once",
    "HUP": "rolling reload: new code is loaded beside the old code, which stays if the new code fails to start. "
    "`env_file`, certificate and key are read again, and symbolic links of `chdir` are followed anew; a change of any "
    "other setting needs a new start of the pool",
    "USR1": "dump every worker's stacks, of threads and of tasks, to the log. With `log_file` or `access_log_file` the "
    "same as USR2, for that is gunicorn's signal after a rotation; `corepod dump` dumps the stacks",
    "USR2": "reopen `log_file` and `access_log_file`, after a tool such as logrotate has renamed them",
    "TTIN": "add a slot",
    "TTOU": "remove a slot",
}
