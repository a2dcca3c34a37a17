"""The layout of the scoreboard, which workers write and the supervisor reads."""

# Scoreboard: shared memory of RECORDS records, one for each living worker. A record is written by its worker
# alone and read by the supervisor, which adds it to the slot's totals when the worker is gone.
RECORDS = 1200
RECORD_SIZE = 2048  # bytes
# Indices of 64-bit words in a record.
TICK = 0  # CLOCK_MONOTONIC of the loop's last tick, ns
LAG = 1  # how late the last tick was, ns
LAG_MAX = 2
REQUESTS = 3  # requests (and WebSocket sessions) that reached the application
IN_FLIGHT = 4  # the application's coroutines: a drain waits for them
SHED = 5  # answered 503 because of limit_requests
ACCEPTED = 6  # connections
CONNECTIONS = 7  # open now
BYTES_IN = 8
BYTES_OUT = 9
# CLOCK_MONOTONIC since when every thread that serves requests has stalled while others wait for one, ns; 0 = they work
STALLED = 10
STATUS = 11  # six words: no answer, 1xx, 2xx, 3xx, 4xx, 5xx
LATENCY_SUM = 17  # ns
LATENCY = 18  # one word a bucket, the last one without bound
LATENCY_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
# Requests in flight whose response hasn't been handed to the kernel completely: what a death would lose. Work that goes
# on after the response, such as a background task, is in flight and owes nobody anything.
OWED = LATENCY + len(LATENCY_BOUNDS) + 1
SHED_LATE = OWED + 1  # answered 503 because of queue_timeout
QUEUED = OWED + 2  # how long requests have waited before they were read, where queue_timeout is set, ns
WAITING = OWED + 3  # requests that wait for a thread, at the last tick
# How long the request that has held its thread of a WSGI application longest had done so at the last tick, where
# wsgi_timeout is set, ns
HELD = OWED + 4
# Messages that the worker has taken from its slot's inbox, and those of them that the application has got (or nobody
# waits for): the difference is what a death loses.
TAKEN = OWED + 5
HANDED = OWED + 6
PASSED_ON = OWED + 7  # connections that the worker has accepted and handed over to the slot that their cookie names
WORDS = PASSED_ON + 1
# Words that only ever grow: what a slot keeps of a dead worker.
COUNTERS = (REQUESTS, SHED, ACCEPTED, BYTES_IN, BYTES_OUT, *range(STATUS, OWED), SHED_LATE, QUEUED, PASSED_ON)
# Behind the words: what is being served, for the report of a death.
ENTRIES = 8
ENTRY_OFFSET = 512  # bytes
ENTRY_SIZE = 128  # bytes: start (u64, CLOCK_MONOTONIC ns, 0 = free), then text padded with NUL
# Behind the records: one byte for each, written by its worker, and by the supervisor when the worker is gone. The other
# workers read it: side by side, a glance finds an idle one among hundreds, and a byte can't be read half written.
PRESENCE_OFFSET = RECORDS * RECORD_SIZE
AWAY, IDLE, BUSY = 0, 1, 2  # accepts no connection; accepts them and has nothing to serve; accepts and serves
# Behind these: a word that the supervisor changes whenever a broadcast reaches other workers than before, or a slot has
# been removed. A sender of messages looks at it, and asks the supervisor only then.
MEMBERSHIP_OFFSET = PRESENCE_OFFSET + RECORDS
SIZE = MEMBERSHIP_OFFSET + 8
# Behind all of it: bytes that processes lock (fcntl). Nothing is stored there.
LEADER = SIZE  # the pool's leader has locked it
TAKER = LEADER + 1  # one for each slot: the worker that reads the slot's inbox has locked it
SERVES = TAKER + RECORDS  # one for each slot: its workers share this lock while they take connections for the slot
TICK_INTERVAL = 0.5  # seconds between two ticks of an idle loop


def add_counters(totals: list[int], words: list[int]) -> None:
    """Add what a record has counted to `totals`, which are as many words."""
    for index in COUNTERS:
        totals[index] += words[index]
