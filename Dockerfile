# One image a service, each with its own dependencies and its own code:
#   docker build --build-arg SERVICE=gateway --tag dbify/gateway:0.1.0 .
# and the one that migrates:
#   docker build --build-arg SERVICE=stack --build-arg MODULE=stack --tag dbify/stack:0.1.0 .

FROM python:3.11-slim AS build
ARG SERVICE
WORKDIR /build
COPY requirements/uv.txt requirements/${SERVICE}.txt requirements/
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
        --require-hashes --requirement requirements/uv.txt \
    && uv venv /opt/dbify \
    && VIRTUAL_ENV=/opt/dbify uv pip install --no-cache --compile-bytecode \
        --require-hashes --requirement requirements/${SERVICE}.txt
COPY libs libs
COPY services services
COPY stack stack
# A service's image has no other service in it; the migration has every service's migrations and no service.
RUN mkdir --parents /app/services \
    && cp --recursive libs /app/ \
    && cp services/__init__.py /app/services/ \
    && if [ "${SERVICE}" = stack ]; then \
        cp --recursive stack /app/ && cp --recursive --parents services/*/migrations /app/; \
    else \
        cp --recursive "services/${SERVICE}" /app/services/; \
    fi \
    && /opt/dbify/bin/python -m compileall -q /app

FROM python:3.11-slim
ARG SERVICE
ARG MODULE=services.${SERVICE}
# Writable folders are mounted there, or belong to whoever runs the image by hand.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin dbify \
    && install --directory --owner dbify --group dbify /var/lib/dbify
COPY --from=build /opt/dbify /opt/dbify
COPY --from=build /app /app
ENV PATH=/opt/dbify/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DBIFY_HOST=0.0.0.0 \
    MODULE=${MODULE}
WORKDIR /app
USER 10001:10001
# `exec` makes it process 1, so that SIGTERM reaches it.
ENTRYPOINT ["/bin/sh", "-c", "exec python -m \"$MODULE\" \"$@\"", "dbify"]
