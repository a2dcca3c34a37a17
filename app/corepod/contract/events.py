"""The kinds of events of a pool, as `corepod events` and the control socket name them."""

KINDS = {
    "started": "the pool has begun to start",
    "ready": "a worker is ready",
    "died": "a worker died, or didn't become ready",
    "stuck": "a worker's loop is blocked, or all of its threads are; its stacks are in the log",
    "replaced": "a worker makes way for a new one, because corepod restart asks for it, or its core is another one now",
    "recycled": "a worker makes way for a new one, because it has reached a limit of requests, age or memory, a "
    "request has held its thread for too long, or it is time by the schedule",
    "replace-failed": "the new worker didn't become ready, and the present one stays",
    "reload": "a reload has begun",
    "reloaded": "a reload is done",
    "reload-failed": "a reload was given up, and the present workers stay",
    "cores": "other cores may be used than before",
    "scaled": "slots were added or removed",
    "gave-up": "a slot, or the pool, was given up",
    "stopping": "the pool was asked to stop",
}
