# $ gunicorn -c own_uvicorn_worker.py service.main:app
import multiprocessing

bind = "0.0.0.0:8000"
workers = multiprocessing.cpu_count()
worker_class = "service.worker.HeaderlessWorker"
timeout = 120
keepalive = 5
accesslog = "-"
errorlog = "-"
loglevel = "info"
graceful_timeout = 30
