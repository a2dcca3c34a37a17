# $ PORT=8000 gunicorn -c wsgi_app_factory.py
import os

wsgi_app = "planner:create_app()"
bind = f"0.0.0.0:{os.getenv('PORT', '8000')}"
workers = 4
threads = 4
worker_tmp_dir = "/dev/shm"
preload_app = True
max_requests = 1000
max_requests_jitter = 100
accesslog = "-"
access_log_format = '%({x-forwarded-for}i)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
