FROM python:3.9
ADD . /quiz
WORKDIR /quiz
RUN pip install -r requirements.txt
ENV FLASK_APP=quiz
CMD ["flask", "run", "--host", "0.0.0.0", "--port", "8000"]
