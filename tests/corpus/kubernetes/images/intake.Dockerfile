FROM python:3.13
WORKDIR /app
COPY . .
ENV WEB_CONCURRENCY=1
ENTRYPOINT ["uvicorn"]
CMD ["intake.main:app", "--host", "0.0.0.0", "--port", "8000", "--proxy-headers"]
