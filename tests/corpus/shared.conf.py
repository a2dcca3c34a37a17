# A file that command lines name.
keepalive = 5
workers = 3
timeout = 60
