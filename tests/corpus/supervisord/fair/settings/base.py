INSTALLED_APPS = ["django.contrib.admin", "fair"]
WSGI_APPLICATION = "fair.wsgi.application"
STATIC_URL = "static/"
