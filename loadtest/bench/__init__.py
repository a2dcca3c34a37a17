"""Benchmarks side by side with other servers: `make bench`, `make bench ARGS="b1 b6 --rounds 21"`."""
