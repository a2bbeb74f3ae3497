# openrealm and its model openrealm-qa, ready to serve: docs/guide/docker.md.
#   docker build -t openrealm:cpu .
#   docker build -t openrealm:cuda --build-arg ACCELERATOR=cuda .
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim
# PyPI's torch for Linux on x86-64 brings CUDA's libraries, about 4 GB. PyTorch's own index has one without them, "2.13.0+cpu",
# which pip prefers to "2.13.0" when it sees both.
ARG ACCELERATOR=cpu
COPY constraints.txt /constraints.txt
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels --mount=type=cache,target=/root/.cache/pip \
    case "$ACCELERATOR" in \
      cpu) index="--extra-index-url https://download.pytorch.org/whl/cpu" ;; \
      cuda) index="" ;; \
      *) echo "ACCELERATOR is cpu or cuda, not $ACCELERATOR." >&2; exit 1 ;; \
    esac \
    && pip install --constraint /constraints.txt $index "$(echo /wheels/openrealm-*.whl)[serve,pdf,rst,office]"

# The server needs no rights. What it keeps of documents is under /data/runs, which has to be writable.
RUN useradd --uid 10001 --no-create-home openrealm && install -d -o openrealm /data /data/runs
USER openrealm
WORKDIR /data
EXPOSE 8000
ENTRYPOINT ["openrealm"]
CMD ["serve", "--corpus", "/documents", "--host", "0.0.0.0"]
