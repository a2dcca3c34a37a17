"""`corepod hit`: a few requests, each with its latency and the worker that answered. So asks the load test."""
