# Image of the service: runs without root, on a read-only root file system, with kernels already compiled.
# For repeatable builds, pin BASE by digest: --build-arg BASE=docker.io/library/python@sha256:…
ARG BASE=docker.io/library/python:3.11-slim

FROM ${BASE} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_CONSTRAINT=/src/constraints.txt
# The dependencies first, since they rarely change; the package follows.
COPY constraints.txt pyproject.toml ./
RUN python3 -m venv /opt/compressor \
    && /opt/compressor/bin/python -c "import tomllib; \
project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print('\n'.join(project['dependencies'] + project['optional-dependencies']['tls'] + project['optional-dependencies']['otel'] + project['optional-dependencies']['http']))" > dependencies.txt \
    && /opt/compressor/bin/pip install -r dependencies.txt
COPY README.md LICENSE ./
COPY scripts scripts
COPY compressor compressor
# The kernels are compiled here. What that takes, a C compiler included, is not part of the image.
RUN /opt/compressor/bin/pip install --no-deps . \
    && /opt/compressor/bin/pip uninstall --yes pip setuptools

FROM ${BASE}
LABEL org.opencontainers.image.title="compressor" \
      org.opencontainers.image.description="Image compression service in bounded memory" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/compressor /opt/compressor
ENV PATH=/opt/compressor/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    COMPRESSOR_SPOOL_DIR=/var/tmp
# For spools of two-pass work, so it should be on a disk.
VOLUME /var/tmp
USER 65532:65532
EXPOSE 50051 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["compressor", "health", "--address", "127.0.0.1:50051"]
ENTRYPOINT ["compressor"]
CMD ["serve", "--address", "0.0.0.0:50051", "--metrics-address", "0.0.0.0:9464"]
