# $ gunicorn -c sync_limits.py archive.wsgi
import multiprocessing

bind = "127.0.0.1:8001"
workers = multiprocessing.cpu_count() * 2 + 1
worker_class = "sync"
worker_connections = 1000
timeout = 30
keepalive = 2
max_requests = 1000
max_requests_jitter = 50
limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190
daemon = False
accesslog = "-"
errorlog = "-"
loglevel = "info"
preload_app = False
