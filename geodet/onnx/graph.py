"""A RetinaNet as an ONNX graph: pixels in, boxes and scores out.

The graph is written node by node, see :mod:`geodet.onnx.nodes`. ``torch.onnx.export`` of torch 2.15
was tried for the plain graph of ``urban-trees`` in two ways:

- The exporter by ``torch.export`` (``dynamo=True``, onnxscript 0.7): the same outputs for any batch
  and size, files of the same size (13.0 to 13.2 MB) and the same speed (0.40 to 0.42 s of processor
  time for 512 x 512 px). But an export takes 7 s of processor time instead of 0.08 s, and 3.8 s
  instead of 0.02 s for the smallest network; it needs three more packages (onnxscript, onnx-ir,
  ml_dtypes); and the file is of version 10, which onnxruntime 1.17 does not read.
- The exporter by TorchScript (``dynamo=False``): the same outputs and size of file in 1.4 s, with
  ``maps.shape[0]`` in place of ``len(maps)`` in the heads. But it is deprecated, and torch warns
  that it will be removed.

Neither covers the suppression in the graph for tiles: ``torchvision.ops.nms`` does not separate
classes, so the nodes that :func:`tile_graph` adds would stay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torchvision.ops import FeaturePyramidNetwork

from geodet.errors import ModelFileError
from geodet.models.backbone import Backbone
from geodet.models.box_coding import DELTAS, LARGEST_FACTOR
from geodet.models.description import ModelDescription
from geodet.models.input_values import ABSURD, trained_bounds
from geodet.models.retinanet import Head, RetinaNet
from geodet.onnx.nodes import Nodes, import_onnx

__all__ = ["PLAIN_OUTPUTS", "TileFormat", "plain_graph", "tile_graph"]

OPSET, IR_VERSION = 17, 8  # of 2022; onnxruntime 1.17 reads up to 20 and 9
_TensorShapes = dict[str, tuple[int | str, ...]]

PLAIN_OUTPUTS = ("boxes", "scores", "logits", "deltas", "anchors")


class TileFormat(NamedTuple):
    """Input and output of a program that reads a scene tile by tile."""

    tile_size: int
    """Side of the tiles in pixels."""
    scale: float
    """Factor from the values that the program passes to the units of the data."""
    iou_threshold: float
    """IoU above which the weaker of two boxes of one class is suppressed, inside the graph."""
    lowest_score: float
    """Score above which boxes leave the graph; the program applies its own threshold later."""
    shift: float
    """Pixels added to all coordinates: 0.5 for a program that truncates them to integers."""


class _Raw(NamedTuple):
    boxes: str
    """(N, R, 4) x1 y1 x2 y2, or (N, R, 6) of oriented boxes."""
    scores: str
    """(N, R, K)."""
    logits: str
    deltas: str
    anchors: str


def plain_graph(network: RetinaNet, about: ModelDescription) -> Any:
    """Build a graph for any number of images of any size.

    Args:
        network: In evaluation mode.
        about: Its description.

    Returns:
        An ``onnx.ModelProto``. Input: ``pixels`` (N, C, H, W) float32 in the units of the data.
        Outputs: ``boxes`` (N, R, 4) x1 y1 x2 y2 in pixels and ``scores`` (N, R, K) of all R
        anchors, and ``logits``, ``deltas`` and ``anchors`` (R, 4), from which they are computed.
        Oriented boxes are (N, R, 6): centre x and y, length, width, and the last two deltas v and
        w, of which the angle is atan2(w, v) / 2.
    """
    nodes = Nodes()
    raw = _raw(nodes, network, _standardised(nodes, "pixels", about))
    sides = DELTAS[about.architecture.boxes]
    of_class, of_box = ("batch", "anchor", len(about.classes)), ("batch", "anchor", sides)
    kinds: _TensorShapes = {
        "boxes": of_box,
        "scores": of_class,
        "logits": of_class,
        "deltas": of_box,
    }
    kinds["anchors"] = ("anchor", 4)
    for name in PLAIN_OUTPUTS:
        nodes.nodes.append(_named(getattr(raw, name), name))
    image = ("batch", len(about.bands), "height", "width")
    return _model(nodes, {"pixels": image}, {name: kinds[name] for name in PLAIN_OUTPUTS})


def tile_graph(network: RetinaNet, about: ModelDescription, form: TileFormat) -> Any:
    """Build a graph for one tile, with suppression, in the form of YOLO v5 models.

    Args:
        network: In evaluation mode.
        about: Its description.
        form: Input and output of the program that reads it.

    Returns:
        An ``onnx.ModelProto``. Input: ``images`` (1, C, S, S) float32, the values of the data over
        the scale. Output: ``detections`` (1, M, 5 + K), a row for each of the M detections: centre,
        width and height in pixels, score, and a one-hot class.
    """
    nodes = Nodes()
    pixels = nodes.add("Mul", "images", nodes.constant(form.scale))
    raw = _raw(nodes, network, _standardised(nodes, pixels, about))
    rows = _suppressed(nodes, raw, form, classes=len(about.classes))
    nodes.nodes.append(_named(rows, "detections"))
    image = (1, len(about.bands), form.tile_size, form.tile_size)
    found = (1, "objects", 5 + len(about.classes))
    return _model(nodes, {"images": image}, {"detections": found})


def _standardised(nodes: Nodes, pixels: str, about: ModelDescription) -> str:
    """Follow :func:`geodet.models.inputs.standardise`."""
    mean, std = _column(about.mean), _column(about.std)
    scaled = nodes.add("Div", nodes.add("Sub", pixels, nodes.constant(mean)), nodes.constant(std))
    low, high = (_column(v) for v in trained_bounds(about.dtype, about.low, about.high))
    if not low.size:
        return scaled
    cut = nodes.add("Max", scaled, nodes.constant((low - mean) / std))
    cut = nodes.add("Min", cut, nodes.constant((high - mean) / std))
    is_measured = nodes.add("Less", nodes.add("Abs", scaled), nodes.constant(ABSURD))
    return nodes.add("Where", is_measured, cut, nodes.constant(0.0))


def _column(values: Sequence[float]) -> NDArray[np.float64]:
    """Return (C, 1, 1), a value for each band."""
    return np.reshape(values, (-1, 1, 1)).astype(np.float64)


def _raw(nodes: Nodes, network: RetinaNet, images: str) -> _Raw:
    levels = _pyramid(nodes, network, images)
    logits = _head(nodes, network.classifier, levels)
    deltas = _head(nodes, network.regressor, levels)
    placed = [_anchors(nodes, network, index, images) for index in range(len(levels))]
    anchors = nodes.add("Concat", *placed, axis=0)
    decoded = _decoded_oriented if network.config.boxes == "oriented" else _decoded
    boxes = decoded(nodes, deltas, anchors)
    return _Raw(boxes, nodes.add("Sigmoid", logits), logits, deltas, anchors)


def _pyramid(nodes: Nodes, network: RetinaNet, images: str) -> list[str]:
    """Follow :class:`~geodet.models.backbone.Backbone` and its ``Pyramid``."""
    backbone = network.backbone
    if not isinstance(backbone, Backbone):
        raise ModelFileError(
            f"the backbone {network.config.backbone} cannot be exported",
            hint="ResNets of torchvision and efficientnet_lite0 can",
            name=network.config.backbone,
        )
    x = nodes.layer(backbone.stem, images)
    features = []
    for stage in backbone.stages:
        x = nodes.layer(stage, x)
        features.append(x)
    first, last = network.config.levels
    merged = _fpn(nodes, network, features[first - 2 :], images)
    levels = merged[: min(last, 5) - first + 1]
    for index, convolution in enumerate(network.pyramid.extra):
        source = features[-1] if index == 0 else nodes.add("Relu", levels[-1])
        levels.append(nodes.layer(convolution, source))
    return levels


def _fpn(nodes: Nodes, network: RetinaNet, features: list[str], images: str) -> list[str]:
    fpn: FeaturePyramidNetwork = network.pyramid.fpn
    inner = [nodes.layer(b, x) for b, x in zip(fpn.inner_blocks, features, strict=True)]
    count, channels = nodes.add("Shape", images, end=1), nodes.ints(network.config.channels)
    for index in range(len(inner) - 2, -1, -1):
        cells = _cells(nodes, images, 2 ** (network.config.levels[0] + index))
        size = nodes.add("Concat", count, channels, cells, axis=0)
        # Enlarged by repeating pixels.
        ways = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        above = nodes.add("Resize", inner[index + 1], "", "", size, mode="nearest", **ways)
        inner[index] = nodes.add("Add", inner[index], above)
    return [nodes.layer(b, x) for b, x in zip(fpn.layer_blocks, inner, strict=True)]


def _cells(nodes: Nodes, images: str, stride: int) -> str:
    """Return height and width of the map with a stride: each layer rounds up.

    To ask a map for its shape may have it copied: onnxruntime orders maps in integers otherwise.
    """
    rounded = nodes.add("Add", nodes.add("Shape", images, start=2), nodes.ints(stride - 1))
    return nodes.add("Div", rounded, nodes.ints(stride))


def _head(nodes: Nodes, head: Head, levels: list[str]) -> str:
    """Follow :class:`geodet.models.retinanet.Head`: (N, R, outputs)."""
    flat = []
    for index, level in enumerate(levels):
        norms = cast("nn.ModuleList", head.norms[index if len(head.norms) > 1 else 0])
        x = level
        for convolution, norm in zip(head.convs, norms, strict=True):
            x = nodes.layers([convolution, norm, head.activation], x)
        maps = nodes.add("Transpose", nodes.layer(head.last, x), perm=[0, 2, 3, 1])
        flat.append(nodes.add("Reshape", maps, nodes.ints(0, -1, head.outputs)))
    return nodes.add("Concat", *flat, axis=1)


def _anchors(nodes: Nodes, network: RetinaNet, index: int, images: str) -> str:
    """Follow :class:`geodet.models.anchors.Anchors`: (H * W * A, 4)."""
    cell = nodes.constant(network.anchors.get_buffer(f"cell_{index}"))
    stride = network.anchors.strides[index]
    cells = _cells(nodes, images, stride)
    y = _centres(nodes, cells, stride, axis=0, shape=(-1, 1, 1, 1))
    x = _centres(nodes, cells, stride, axis=1, shape=(1, -1, 1, 1))
    grid = nodes.add("Concat", cells, nodes.ints(1, 1), axis=0)  # H, W, 1, 1
    x, y = nodes.add("Expand", x, grid), nodes.add("Expand", y, grid)
    centres = nodes.add("Concat", x, y, x, y, axis=3)  # (H, W, 1, 4)
    return nodes.add("Reshape", nodes.add("Add", centres, cell), nodes.ints(-1, 4))


def _centres(nodes: Nodes, cells: str, stride: int, *, axis: int, shape: tuple[int, ...]) -> str:
    count = nodes.add("Squeeze", nodes.part(cells, axis, axis + 1, axis=0))
    zero, one = nodes.constant(0, "int64"), nodes.constant(1, "int64")
    numbers = nodes.add("Cast", nodes.add("Range", zero, count, one), to=1)  # to float32
    halfway = nodes.add("Add", numbers, nodes.constant(0.5))
    return nodes.add(
        "Reshape", nodes.add("Mul", halfway, nodes.constant(stride)), nodes.ints(*shape)
    )


def _decoded(nodes: Nodes, deltas: str, anchors: str) -> str:
    """Follow :func:`geodet.models.box_coding.decode_boxes`."""
    centre, sides, factor = _moved(nodes, deltas, anchors)
    reach = nodes.add("Mul", nodes.add("Mul", sides, factor), nodes.constant(0.5))
    corners = nodes.add("Sub", centre, reach), nodes.add("Add", centre, reach)
    return nodes.add("Concat", *corners, axis=2)


def _decoded_oriented(nodes: Nodes, deltas: str, anchors: str) -> str:
    """Follow :func:`geodet.models.box_coding.decode_oriented`, but for the angle."""
    centre, sides, factor = _moved(nodes, deltas, anchors)
    wide, high = nodes.part(sides, 0, 1, axis=1), nodes.part(sides, 1, 2, axis=1)
    side = nodes.add("Sqrt", nodes.add("Mul", wide, high))
    turn = nodes.part(deltas, 4, 6, axis=2)
    return nodes.add("Concat", centre, nodes.add("Mul", side, factor), turn, axis=2)


def _moved(nodes: Nodes, deltas: str, anchors: str) -> tuple[str, str, str]:
    """Return the centres of boxes, the sides of their anchors and the factors on these."""
    low, high = nodes.part(anchors, 0, 2, axis=1), nodes.part(anchors, 2, 4, axis=1)
    middle = nodes.add("Mul", nodes.add("Add", low, high), nodes.constant(0.5))
    sides = nodes.add("Sub", high, low)
    shift = nodes.add("Mul", nodes.part(deltas, 0, 2, axis=2), sides)
    most = nodes.constant(math.log(LARGEST_FACTOR))
    factor = nodes.add("Exp", nodes.add("Min", nodes.part(deltas, 2, 4, axis=2), most))
    return nodes.add("Add", middle, shift), sides, factor


def _suppressed(nodes: Nodes, raw: _Raw, form: TileFormat, *, classes: int) -> str:
    """Suppress duplicates within each class, and arrange the rest in rows: (1, M, 5 + K)."""
    scores = nodes.add("Transpose", raw.scores, perm=[0, 2, 1])  # (1, K, R)
    limits = nodes.constant(form.iou_threshold), nodes.constant(form.lowest_score)
    all_of_them = nodes.constant(2**31 - 1, "int64")
    chosen = nodes.add("NonMaxSuppression", raw.boxes, scores, all_of_them, *limits)  # (M, 3)
    label = nodes.add("Gather", chosen, nodes.constant(1, "int64"), axis=1)
    anchor = nodes.add("Gather", chosen, nodes.constant(2, "int64"), axis=1)
    boxes = nodes.add("Gather", nodes.add("Squeeze", raw.boxes, nodes.ints(0)), anchor, axis=0)
    low, high = nodes.part(boxes, 0, 2, axis=1), nodes.part(boxes, 2, 4, axis=1)
    middle = nodes.add("Mul", nodes.add("Add", low, high), nodes.constant(0.5))
    columns = [
        nodes.add("Add", middle, nodes.constant(form.shift)),
        nodes.add("Sub", high, low),
        nodes.add("Unsqueeze", nodes.add("GatherND", scores, chosen), nodes.ints(1)),
        nodes.add("OneHot", label, nodes.ints(classes), nodes.constant([0.0, 1.0])),
    ]
    return nodes.add("Unsqueeze", nodes.add("Concat", *columns, axis=1), nodes.ints(0))


def _named(x: str, name: str) -> Any:
    return import_onnx().helper.make_node("Identity", [x], [name])


def _model(nodes: Nodes, inputs: _TensorShapes, outputs: _TensorShapes) -> Any:
    onnx = import_onnx()
    infos = [
        [onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in part.items()]
        for part in (inputs, outputs)  # 1 is float32
    ]
    graph = onnx.helper.make_graph(
        nodes.nodes, "geodet", *infos, initializer=list(nodes.constants.values())
    )
    versions = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(graph, opset_imports=versions, ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model
