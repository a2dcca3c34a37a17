"""Raw requests of HTTP/1.1, and what may come of each."""

from loadtest.conformance.case import Request, serves

CORPUS = [serves("a GET", "9112 3", b"GET / HTTP/1.1\r\nHost: test\r\n\r\n", Request())]
