"""The steps, the figures that are wanted most first."""

from __future__ import annotations

from harness import Step

__all__ = ["STEPS"]

STEPS = (
    Step("machine", "what the card can do at most", "step_forward", "ceilings", 30),
    Step("twins", "the GPU and the CPU agree", "step_twins", "twins", 60),
    Step("forward", "the bare network, by precision", "step_forward", "precisions", 60),
    Step("whole", "detect, from file to file", "step_whole", "moderate", 90),
    Step("parts", "a batch, part by part", "step_parts", "parts", 45),
    Step("reading", "windows read, nothing else", "step_reading", "reading", 60),
    Step("overlap", "decoding beside the next forward pass", "step_parts", "overlap", 30),
    Step("large", "detect on 40,960 x 40,960 px", "step_whole", "large", 75),
    Step("shapes", "the bare network, by batch and window", "step_forward", "shapes", 45),
    Step("graphs", "the bare network in a CUDA graph", "step_forward", "graphs", 30),
    Step("merging", "10^6 candidates merged", "step_merging", "merging", 40),
    Step("peers", "beside torchvision's RetinaNet", "step_peers", "peers", 40),
    Step("steps", "training steps", "step_training", "steps", 50),
    Step("compile", "the bare network, compiled", "step_forward", "compiled", 110),
    Step("training", "a larger model, trained", "step_training", "training", 240),
)
