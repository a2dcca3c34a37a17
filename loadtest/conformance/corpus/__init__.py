"""Raw requests of HTTP/1.1, and what may come of each: of the kinds that parsers and servers are usually tested with,
and that were used to smuggle requests past proxies."""

from loadtest.conformance.corpus import chunks, connections, fields, framing, request_line

CORPUS = [
    *request_line.cases(),
    *fields.cases(),
    *framing.cases(),
    *chunks.cases(),
    *connections.cases(),
]
