# $ gunicorn -c course.py course.wsgi
bind = "127.0.0.1:8000"
workers = 2
preload_app = True
timeout = 300
max_requests = 50
