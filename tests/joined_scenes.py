"""Duplicates between scenes that are all there at once, for comparison."""

from geodet.merging.mosaics import MosaicJoiner


def deduplicate(parts, *, iou_threshold, arrival=None, **options):
    """Join parts, each a scene; give them in their order, whatever the order of their arrival."""
    with MosaicJoiner(parts, iou_threshold=iou_threshold, **options) as joiner:
        return [
            final
            for number in (range(len(parts)) if arrival is None else arrival)
            for final in joiner.add(number, [parts[number].detections])
        ]
