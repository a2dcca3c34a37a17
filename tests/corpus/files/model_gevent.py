# $ gunicorn -c model_gevent.py predict:app
import os

bind = f"0.0.0.0:{os.environ.get('MODEL_PORT', '8000')}"
workers = int(os.environ.get("MODEL_WORKERS", "1"))
worker_class = "gevent"
timeout = 180
preload_app = True
graceful_timeout = 30
keepalive = 10
accesslog = "-"
errorlog = "-"
