# corepod's image: the supervisor as PID 1, the sample application, and what your own application is put on
# (docs/deploy.md). Built by `make image`; nothing in here needs the network but pip and the base image.
ARG BASE=python:3.14-slim

FROM ${BASE} AS build
WORKDIR /src
COPY requirements/build.txt requirements/
# In an environment of its own: nothing that only the build needs can end up in /out.
RUN python -m venv /build && /build/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/build.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY app app
RUN /build/bin/pip wheel --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir /dist .
# Each image has its own set of parts: nothing of the operator's or the load test's is in a pod of workers.
ENV INSTALL="pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore --no-compile --ignore-installed --root /out"
# Compiled here, for the root file system is read-only later; by content and not by time, so that every build gives the
# same and no copy makes it stale.
ENV COMPILE="python -m compileall -q -f -j 0 -s /out -p / --invalidation-mode unchecked-hash /out"

FROM build AS build-worker
COPY requirements/image.txt requirements/
RUN $INSTALL --require-hashes -r requirements/image.txt && $INSTALL --no-deps /dist/*.whl && $COMPILE

FROM build AS build-operator
COPY requirements/operator.txt requirements/
RUN $INSTALL --require-hashes -r requirements/operator.txt && $INSTALL --no-deps /dist/*.whl && $COMPILE

FROM build AS build-loadtest
COPY requirements/loadtest.txt requirements/
RUN $INSTALL --require-hashes -r requirements/loadtest.txt && $INSTALL --no-deps /dist/*.whl && $COMPILE

FROM ${BASE} AS labelled
ARG BASE
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"

FROM labelled AS operator
LABEL org.opencontainers.image.title="corepod operator" \
      org.opencontainers.image.description="Keeps Deployments at the number of pods that the nodes can hold"
COPY --from=build-operator /out/ /
USER 10001:10001
EXPOSE 9000 9001/udp
ENTRYPOINT ["corepod", "operator"]

# Locust and the users of loadtest/. It asks pods; it is none of them.
FROM labelled AS loadtest
LABEL org.opencontainers.image.title="corepod load test" \
      org.opencontainers.image.description="Locust with the users, shapes and verdict of corepod's load test"
COPY --from=build-loadtest /out/ /
COPY loadtest /srv/loadtest
ENV HOME=/tmp PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv
USER 10001:10001
EXPOSE 8089 5557
ENTRYPOINT ["locust", "-f", "loadtest/locustfile.py"]

FROM labelled AS worker
LABEL org.opencontainers.image.title="corepod" \
      org.opencontainers.image.description="One worker, one core, one pod: supervised, pinned Python web workers"
COPY --from=build-worker /out/ /
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
