"""The notebook of the documentation holds what its cells show, in few bytes."""

import json

import pytest
from doc_pages import PROJECT

CELLS = json.loads((PROJECT / "docs" / "howto" / "notebook.ipynb").read_text("utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


def test_pictures_are_stored_and_small_and_no_output_is_an_error():
    kinds = [one["output_type"] for cell in CODE for one in cell["outputs"]]
    assert set(kinds) <= {"execute_result", "display_data", "stream"}
    pictures = [
        one for cell in CODE for one in cell["outputs"] if "image/png" in one.get("data", {})
    ]
    assert len(pictures) == 2
    assert (PROJECT / "docs" / "howto" / "notebook.ipynb").stat().st_size < 250_000


@pytest.mark.parametrize("word", ["/tmp", "/home", "/work", "http"])
def test_the_notebook_names_no_folder_and_loads_nothing(word):
    assert all(word not in json.dumps(cell["outputs"]) for cell in CODE)
