FROM python:3.13-slim AS build
RUN pip install --target /deps llm-gateway
FROM python:3.13-slim
COPY --from=build /deps /deps
EXPOSE 4000
ENTRYPOINT ["python", "-m", "llm.cli"]
CMD ["--port", "4000"]
