"""Scale the scores of a network with random weights until as many pass as in a trained one.

Weights that a peer would fetch are not to be had. Untrained, all scores of torchvision's RetinaNet
are the same to six digits: nothing would pass the score threshold, or everything would. The last
layer of the classifier is scaled and shifted, so that scores differ and as many candidates pass as
there are objects. Suppression and merging then have work to do, and which boxes they keep says
nothing.
"""

from __future__ import annotations

import math
from typing import Any

import torch


@torch.no_grad()
def shift_scores(network: Any, image: torch.Tensor, *, candidates: int, threshold: float) -> None:
    """Make a number of candidates of an image pass a score threshold.

    Args:
        network: A RetinaNet of torchvision's, in evaluation mode.
        image: (3, H, W) in 0 to 1, as the detector will cut them.
        candidates: How many.
        threshold: Of scores.
    """
    last = network.head.classification_head.cls_logits
    last.bias.zero_()
    enlarged, _ = network.transform([image])
    features = list(network.backbone(enlarged.tensors).values())
    # By anchor: all classes of one that passes would be as many objects again.
    logits = network.head(features)["cls_logits"].amax(dim=2).flatten()
    spread = logits.std()
    last.weight /= spread
    weakest = (logits / spread).topk(candidates).values[-1]
    last.bias += math.log(threshold / (1 - threshold)) - weakest
