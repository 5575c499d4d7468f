# Installs from the same lock files as `make`: nothing is fetched that has no hash there.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/millstream
ENV PATH=/opt/millstream/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements/build.txt requirements/runtime.txt requirements/qdrant.txt requirements/
RUN pip install --require-hashes -r requirements/build.txt -r requirements/runtime.txt
# `--build-arg WITH_QDRANT=yes` adds the client of a Qdrant server, for an index there (docs/index-storage.md).
ARG WITH_QDRANT=
RUN [ -z "$WITH_QDRANT" ] || pip install --require-hashes -r requirements/runtime.txt -r requirements/qdrant.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-deps --no-build-isolation .

FROM python:3.13-slim
# Reads scans; without it they end with no_text.
RUN apt-get update && apt-get install -y --no-install-recommends tesseract-ocr tesseract-ocr-chi-sim \
  && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --home-dir /data millstream && install -d -o millstream /data
COPY --from=build /opt/millstream /opt/millstream
ENV PATH=/opt/millstream/bin:$PATH PYTHONUNBUFFERED=1 MILLSTREAM_DATA_DIR=/data
USER millstream
WORKDIR /data
VOLUME /data
EXPOSE 8321
STOPSIGNAL SIGTERM
ENTRYPOINT ["millstream"]
CMD ["up"]
