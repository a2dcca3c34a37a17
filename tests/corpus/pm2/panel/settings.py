INSTALLED_APPS = ["django.contrib.admin", "panel"]
WSGI_APPLICATION = "panel.wsgi.application"
