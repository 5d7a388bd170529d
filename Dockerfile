# geodet in a container.
#
#   docker build -t geodet .                            PyTorch for CPUs
#   docker build -t geodet:cuda --build-arg TORCH=cuda . PyTorch with CUDA, for --gpus all
#   docker run --rm -v "$PWD:/data" geodet detect scene.tif -o trees.gpkg
FROM python:3.12-slim AS build
ARG TORCH=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/geodet
ENV PATH=/opt/geodet/bin:$PATH
# torch alone first: PyPI's brings CUDA, the index of PyTorch has a build without.
RUN if [ "$TORCH" = cpu ]; then \
      pip install "torch>=2.11" "torchvision>=0.26" --index-url https://download.pytorch.org/whl/cpu; \
    else \
      pip install "torch>=2.11" "torchvision>=0.26"; \
    fi
COPY pyproject.toml README.md LICENSE /source/
COPY geodet /source/geodet
COPY cli /source/cli
COPY configs /source/configs
RUN pip install "/source[onnx]"

FROM python:3.12-slim
COPY --from=build /opt/geodet /opt/geodet
ENV PATH=/opt/geodet/bin:$PATH \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN useradd --create-home --uid 1000 geodet && mkdir /data && chown geodet /data
USER 1000
WORKDIR /data
VOLUME /data
ENTRYPOINT ["geodet"]
CMD ["--help"]
