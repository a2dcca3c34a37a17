# $ gunicorn -c build_farm.py farm.webapp:app
bind = "0.0.0.0"
workers = 5
threads = 10
accesslog = "-"
access_log_format = '%(h)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(D)s'
