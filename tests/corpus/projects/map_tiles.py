# $ WEB_CONCURRENCY=4 gunicorn -c map_tiles.py map_tiles:app
bind = "0.0.0.0:8080"
worker_class = "gevent"
accesslog = "-"
