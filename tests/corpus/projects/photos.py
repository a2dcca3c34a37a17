# $ gunicorn -c photos.py photos.wsgi
bind = "0.0.0.0:8001"
workers = 4
timeout = 300
max_requests = 1000
max_requests_jitter = 50
worker_tmp_dir = "/dev/shm"
