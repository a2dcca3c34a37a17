# $ gunicorn -c dashboard.py dashboard.app:server
bind = "0.0.0.0:8050"
workers = 3
threads = 4
worker_class = "gthread"
accesslog = "-"
errorlog = "-"
max_requests = 1000
preload_app = True
