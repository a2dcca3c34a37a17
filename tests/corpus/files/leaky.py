# $ gunicorn -c leaky.py converter:app
threads = 4
max_requests = 50
max_requests_jitter = 10
timeout = 300
graceful_timeout = 180
preload_app = True
daemon = True
capture_output = True
