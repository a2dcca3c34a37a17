# $ gunicorn -c bots.py bots.wsgi:app
bind = "0.0.0.0:8000"
loglevel = "info"
errorlog = "-"
