"""Run a notebook of the documentation, and store what its cells show: without a network.

    python docs/execute_notebook.py

It runs in a folder with what `geodet demo demo` paints. Times and versions are not stored, so that
the file changes only where a result does.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

import geodet
from geodet.demo.run_demo import run_demo

NOTEBOOK = Path(__file__).parent / "howto" / "notebook.ipynb"
SIDE = 640
"""Of the painted scene, in pixels, as in the tests of the pages."""


def main() -> None:
    """Run the cells and write the notebook."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    os.environ["PYTHONWARNINGS"] = "ignore"
    with tempfile.TemporaryDirectory() as folder:
        run_demo(Path(folder) / "demo", geodet.load_model("urban-trees"), size=SIDE)
        client = NotebookClient(
            notebook, kernel_name="python3", resources={"metadata": {"path": folder}}
        )
        client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    nbformat.write(notebook, NOTEBOOK)
    sys.stdout.write(f"{NOTEBOOK}: {NOTEBOOK.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
