# $ gunicorn -c logconfig_ini.py campus.wsgi
bind = "0.0.0.0:8000"
workers = 8
timeout = 90
logconfig = "rotating.ini"
pidfile = "/run/campus/gunicorn.pid"
