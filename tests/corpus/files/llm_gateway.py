# $ gunicorn -c llm_gateway.py gateway:app
import os

bind = f"0.0.0.0:{os.getenv('PORT', 8000)}"
workers = int(os.getenv("WEB_CONCURRENCY", 2))
worker_class = "uvicorn.workers.UvicornWorker"
timeout = 300
keepalive = 120
accesslog = "-"
errorlog = "-"
loglevel = "info"
backlog = 2048
