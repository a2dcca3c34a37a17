"""The kinds of events of a pool, as `corepod events` and the control socket name them."""

KINDS = {
    "started": "the pool has begun to start",
    "ready": "a worker is ready",
    "died": "a worker died, or didn't become ready",
    "stuck": "a worker's loop, or all of its threads, are blocked; its stacks are in the log",
    "replaced": "a worker was asked to make way for a new one (corepod restart, or a limit of its age or size)",
    "replace-failed": "the new worker didn't become ready, and the present one stays",
    "reload": "a reload has begun",
    "reloaded": "a reload is done",
    "reload-failed": "a reload was given up, and the present workers stay",
    "cores": "other cores may be used than before",
    "scaled": "slots were added or removed",
    "gave-up": "a slot, or the pool, was given up",
    "stopping": "the pool was asked to stop",
}
