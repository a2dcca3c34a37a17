# $ gunicorn -c wagon.py wagon.wsgi
bind = "127.0.0.1:8000"
workers = 2
loglevel = "info"
proc_name = "wagon"
capture_output = True
