FROM python:3.12
WORKDIR /wiki
COPY . .
RUN pip install -r requirements.txt && python manage.py collectstatic --noinput
CMD exec gunicorn wiki.wsgi --bind 0.0.0.0:8000 --workers 3 --access-logfile -
