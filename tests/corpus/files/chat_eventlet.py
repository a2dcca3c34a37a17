# $ gunicorn -c chat_eventlet.py chat:app
bind = "0.0.0.0:5000"
worker_connections = 1000
worker_class = "eventlet"
timeout = 120
