# corepod's image: the supervisor as PID 1, the sample application, and what your own application is put on
# (docs/deploy.md). Built by `make image`; nothing in here needs the network but pip and the base image.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
COPY requirements/build.txt requirements/image.txt requirements/
# In an environment of its own: nothing that only the build needs can end up in /out.
RUN python -m venv /build && /build/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY app app
# Compiled here, for the root file system is read-only later; by content and not by time, so that every build gives the
# same and no copy makes it stale.
RUN /build/bin/pip wheel --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir /dist . \
 && pip="pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore --no-compile --ignore-installed --root /out" \
 && $pip --require-hashes -r requirements/image.txt \
 && $pip --no-deps /dist/*.whl \
 && python -m compileall -q -f -j 0 -s /out -p / --invalidation-mode unchecked-hash /out

# The operator's parts are another set: kubernetes' client, and none of it in a pod of workers.
FROM build AS build-operator
COPY requirements/operator.txt requirements/
RUN pip="pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore --no-compile --ignore-installed --root /operator" \
 && $pip --require-hashes -r requirements/operator.txt \
 && $pip --no-deps /dist/*.whl \
 && python -m compileall -q -f -j 0 -s /operator -p / --invalidation-mode unchecked-hash /operator

FROM ${BASE} AS operator
ARG BASE
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="corepod operator" \
      org.opencontainers.image.description="Keeps Deployments at the number of pods that the nodes can hold" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
COPY --from=build-operator /operator/ /
USER 10001:10001
EXPOSE 9000 9001/udp
ENTRYPOINT ["corepod", "operator"]

# The load test: Locust and the users of loadtest/. It asks pods; it is none of them.
FROM build AS build-loadtest
COPY requirements/loadtest.txt requirements/
RUN pip="pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore --no-compile --ignore-installed --root /loadtest" \
 && $pip --require-hashes -r requirements/loadtest.txt \
 && $pip --no-deps /dist/*.whl \
 && python -m compileall -q -f -j 0 -s /loadtest -p / --invalidation-mode unchecked-hash /loadtest

FROM ${BASE} AS loadtest
ARG BASE
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="corepod load test" \
      org.opencontainers.image.description="Locust with the users, shapes and verdict of corepod's load test" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
COPY --from=build-loadtest /loadtest/ /
COPY loadtest /srv/loadtest
ENV HOME=/tmp PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv
USER 10001:10001
EXPOSE 8089 5557
ENTRYPOINT ["locust", "-f", "loadtest/locustfile.py"]

FROM ${BASE} AS worker
ARG BASE
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="corepod" \
      org.opencontainers.image.description="One worker, one core, one pod: supervised, pinned Python web workers" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
COPY --from=build /out/ /
# The base image may come without compiled standard library; without it each start would compile it again.
RUN python -m compileall -q -x '/(test|tests|idlelib|turtledemo|tkinter|ensurepip|lib2to3|(site|dist)-packages)/' \
      --invalidation-mode unchecked-hash "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && echo 'corepod:x:10001:10001::/app:/usr/sbin/nologin' >>/etc/passwd \
 && echo 'corepod:x:10001:' >>/etc/group \
 && mkdir /app && chown 10001:10001 /app
# What `pip install` in an image on top of this one finds: a place that isn't root's, on the path of every user.
ENV HOME=/app PYTHONUSERBASE=/app/.local PATH=${PATH}:/app/.local/bin
ENV COREPOD_APP=corepod.demo:app
WORKDIR /app
USER 10001:10001
EXPOSE 8000 9000
ENTRYPOINT ["corepod", "pid1"]
