"""What the guard against deep JSON costs beside parsing: ``python benchmarks/json_guard.py``."""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time

from geodet.documents import json_documents


def coco_text(count: int) -> bytes:
    """Return a COCO file of some objects with outlines, ten in an image."""
    source = random.Random(1)
    entries = [
        {
            "id": n,
            "image_id": n // 10,
            "category_id": 1,
            "bbox": [round(source.uniform(0, 1000), 2) for _ in range(4)],
            "segmentation": [[round(source.uniform(0, 1000), 2) for _ in range(24)]],
            "iscrowd": 0,
        }
        for n in range(count)
    ]
    images = [{"id": n, "file_name": f"images/{n:07d}.png"} for n in range(count // 10)]
    categories = [{"id": 1, "name": "tree"}]
    content = {"images": images, "annotations": entries, "categories": categories}
    return json.dumps(content).encode()


def main() -> None:
    """Print the seconds of processor time of both, the median of some repeats."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=400_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    text = coco_text(options.objects)
    guard, parse = [], []
    for _ in range(options.repeats):
        start = time.process_time()
        json_documents._depth(text)
        middle = time.process_time()
        json.loads(text.decode())
        guard.append(middle - start)
        parse.append(time.process_time() - middle)
    first, second = statistics.median(guard), statistics.median(parse)
    print(f"COCO of {len(text) / 1e6:.0f} MB: guard {first:.2f} s, json.loads {second:.2f} s,")
    print(f"{100 * first / second:.1f} % of it")


if __name__ == "__main__":
    main()
