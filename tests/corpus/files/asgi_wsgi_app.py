# $ gunicorn -c asgi_wsgi_app.py
import os

wsgi_app = "config.asgi:application"
bind = f"{os.getenv('HOST', '0.0.0.0')}:{os.getenv('PORT', '8000')}"
workers = 4
worker_class = "uvicorn_worker.UvicornWorker"
worker_tmp_dir = "/dev/shm"
loglevel = os.getenv("LOG_LEVEL", "warning")
reload = os.getenv("ENV") == "dev"
forwarded_allow_ips = "*"
