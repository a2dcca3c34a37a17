# $ gunicorn -c planet.py planet.asgi:application
worker_class = "uvicorn.workers.UvicornWorker"
timeout = 300
logconfig = "json.ini"
