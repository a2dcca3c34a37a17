"""The load test: `make loadtest`, or `locust -f loadtest/locustfile.py --host URL` (docs/loadtest.md)."""
