"""Parse tables of text, delimited by commas or otherwise."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from geodet.documents.text import DocumentError

__all__ = ["iter_csv_rows"]


def iter_csv_rows(text: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the last line and the cells of each row.

    Raises:
        DocumentError: A cell is longer than 131,072 characters, mostly since a quote is not closed.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise DocumentError(
            f"line {reader.line_num}: broken CSV: {error}",
            hint="close every quote, and keep cells below 131,072 characters",
        ) from error
