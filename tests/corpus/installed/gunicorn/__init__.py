"""In the place of gunicorn, which is installed where its configurations are migrated."""
