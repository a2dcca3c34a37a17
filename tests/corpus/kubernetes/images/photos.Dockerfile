FROM python:3.12-slim
RUN apt-get update && apt-get install -y tini
COPY . /photos
WORKDIR /photos
ENTRYPOINT ["tini", "--"]
CMD ["gunicorn", "photos.asgi:application", "-k", "uvicorn.workers.UvicornWorker", "-b", ":8000"]
