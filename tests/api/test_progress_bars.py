import io

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
