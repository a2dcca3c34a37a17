# $ gunicorn -c capitals.py portal:app
BIND = "0.0.0.0:8000"
WORKERS = 4
TIMEOUT = 120
