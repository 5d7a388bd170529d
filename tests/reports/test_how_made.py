"""The section that says how figures were made."""

import pytest

from geodet.reports.how_made import run_section


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('{"score": 0.34, "iou": 0.2}', "score 0.34, iou 0.2"),
        ({"precision": 0.75060728, "best": {"at_scale": 2}}, "precision 0.7506, best at scale 2"),
        ("{not JSON", "{not JSON"),
        (12, "12"),
        (True, "True"),
        (0.123456, "0.1235"),
    ],
)
def test_values_are_written_out_to_be_read(value, text):
    (table,) = run_section({"model_accuracy": value, "none": None}, "", None).parts
    assert table.rows == (("model accuracy", text),)
