"""What gunicorn's settings become, from its command line, its variable and its file."""
