FROM python:3.12
WORKDIR /srv
COPY . /srv
RUN pip install .
EXPOSE 8000
CMD uvicorn guide.main:app --host 0.0.0.0 --port 8000
