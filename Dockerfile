# One image for both programs of the service: `nas serve` and `nas worker`.
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1

WORKDIR /app

# The same steps as in the Makefile, torch first: this argument alone decides which build of it the image holds. For
# a small image without support for graphics cards name PyTorch's index of CPU builds: --build-arg
# PIP_INSTALL_TORCH_FLAGS='--index-url …'
ARG PIP_INSTALL_TORCH_FLAGS=""
RUN python -m pip install $PIP_INSTALL_TORCH_FLAGS 'torch>=2.9,<2.14'

COPY pyproject.toml README.md LICENSE ./
COPY search_spaces search_spaces
COPY nas nas
COPY api api
RUN python -m pip install -e '.[datasets,postgres,distributed,executorch,transformers]'

# Started alone, a container keeps its SQLite file in /data: mount a volume. /cache is for one that machines share.
ENV POCKETFORMER_DATABASE_URL=sqlite:////data/pocketformer.db
RUN useradd --create-home --uid 10001 pocketformer && install -d -o pocketformer -g pocketformer /data /cache
USER pocketformer
WORKDIR /data

EXPOSE 8000
ENTRYPOINT ["nas"]
# docker-compose.yml names the commands: serving a network without a login has to be allowed first, which it does.
CMD ["--help"]
