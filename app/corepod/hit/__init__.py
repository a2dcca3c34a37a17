"""`corepod hit`: a few requests, each with its latency and the worker that answered. The load test uses its client."""
