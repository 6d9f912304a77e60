# The service as an image: no root, no writable root file system needed, kernels compiled beforehand.
# Pin BASE by digest where builds must be repeatable: --build-arg BASE=docker.io/library/python@sha256:…
ARG BASE=docker.io/library/python:3.11-slim

FROM ${BASE} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_CONSTRAINT=/src/constraints.txt
# What rarely changes first: the libraries, without the package that needs them.
COPY constraints.txt pyproject.toml ./
RUN python3 -m venv /opt/compressor \
    && /opt/compressor/bin/python -c "import tomllib; \
print('\n'.join(tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']))" > dependencies.txt \
    && /opt/compressor/bin/pip install hatchling -r dependencies.txt
COPY README.md LICENSE ./
COPY scripts scripts
COPY compressor compressor
# Afterwards out again with what only building needs. Then once for each CPU that the image carries kernels for.
RUN /opt/compressor/bin/pip install --no-build-isolation --no-deps . \
    && /opt/compressor/bin/pip uninstall --yes hatchling pip setuptools
ENV COMPRESSOR_BAKED_CACHE=/opt/compressor/kernels
RUN for cpu in $(/opt/compressor/bin/python -c "from compressor.kernels import cache; print(*cache.BAKED_CPUS)"); do \
    COMPRESSOR_CPU="$cpu" /opt/compressor/bin/python -c "from compressor import kernels; kernels.warmup()" || exit 1; \
    done \
    && chmod -R a+rX /opt/compressor/kernels

FROM ${BASE}
LABEL org.opencontainers.image.title="compressor" \
      org.opencontainers.image.description="Streams images through Numba kernels: fewer bytes, bounded memory" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/compressor /opt/compressor
ENV PATH=/opt/compressor/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    COMPRESSOR_BAKED_CACHE=/opt/compressor/kernels \
    COMPRESSOR_SPOOL_DIR=/var/tmp
# Two-pass work spools here, so it should be a disk; and here goes what was not compiled beforehand.
VOLUME /var/tmp
USER 65532:65532
EXPOSE 50051 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["compressor", "health", "--address", "127.0.0.1:50051"]
ENTRYPOINT ["compressor"]
CMD ["serve", "--address", "0.0.0.0:50051", "--metrics-address", "0.0.0.0:9464"]
