FROM python:3.11-slim
WORKDIR /home/notify
COPY . .
RUN pip install -r requirements.txt
USER notify
CMD ["gunicorn", "-w", "4", "-b", "0.0.0.0:5000", "--timeout", "60", "notify:create_app()"]
