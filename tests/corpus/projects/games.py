# $ gunicorn -c games.py 'games:create_app()'
import os

bind = f"{os.getenv('HOST', '0.0.0.0')}:{os.getenv('PORT', '8000')}"
workers = int(os.getenv("WORKERS", "1"))
worker_class = os.getenv("WORKER_CLASS", "gevent")
worker_tmp_dir = os.getenv("WORKER_TEMP_DIR", "/dev/shm")
accesslog = os.getenv("ACCESS_LOG", "-")
errorlog = os.getenv("ERROR_LOG", "-")
