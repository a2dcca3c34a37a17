# $ PORT=8080 gunicorn -c port_only.py api:app
import os

bind = "0.0.0.0:" + os.environ.get("PORT", "10000")
