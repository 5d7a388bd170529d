import io
from dataclasses import replace

from rich.console import Console

from geodet.api import progress_bars
from geodet.detection.progress import DetectProgress


def test_the_bar_ends_with_the_number_of_objects_written(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(
        progress_bars, "Console", lambda **_: Console(file=out, force_terminal=True, width=120)
    )
    with progress_bars.detect_bars(is_shown=True) as bar:
        bar(DetectProgress("a.tif", 1, 2, 100, 7, share=0.5))
        bar(DetectProgress("a.tif", 1, 2, 100, 12, share=1.0))
        bar.finish(10)
    last = out.getvalue().rstrip().splitlines()[-2]
    assert "a.tif" in last
    assert "100.0 %" in last
    assert "10 found" in last


def test_the_bar_of_several_workers_counts_parts_and_failures(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(
        progress_bars, "Console", lambda **_: Console(file=out, force_terminal=True, width=120)
    )
    with progress_bars.detect_bars(is_shown=True) as bar:
        for part in (1, 2):
            step = DetectProgress("a.tif", 1, 4, 10**6, 7, share=part / 4, parts=part, all_parts=4)
            bar(replace(step, failures=part - 1))
    assert "2 of 4 parts, 1 scenes failed" in out.getvalue()
    assert "Mpx/s" in out.getvalue()
