# Charter with everything it runs: docker build --build-arg DEVICE=cuda -t charter .
FROM python:3.11-slim-bookworm AS build
ARG DEVICE=cpu
ENV CHARTER_DEVICE=${DEVICE} CHARTER_VENV=/opt/charter/.venv CHARTER_EXTRAS=train PIP_NO_CACHE_DIR=1
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/charter
COPY pyproject.toml README.md LICENSE ./
COPY install install
COPY constitutions constitutions
COPY judges judges
COPY training training
COPY service service
RUN python install/setup.py

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ libnuma1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 charter \
    && install -d -o charter -g charter /data
COPY --from=build /opt/charter /opt/charter
ENV PATH=/opt/charter/.venv/bin:$PATH CHARTER_HOME=/data PYTHONUNBUFFERED=1
USER 10001
WORKDIR /opt/charter
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
CMD ["charter", "serve"]
