import pytest

from geodet.documents.csv_documents import iter_csv_rows
from geodet.documents.text import DocumentError


def test_rows_have_the_number_of_their_last_line():
    assert list(iter_csv_rows('a,b\n"1\n2",3\n')) == [(1, ["a", "b"]), (3, ["1\n2", "3"])]


def test_a_quote_that_is_not_closed_is_an_error():
    with pytest.raises(DocumentError, match=r"line .*: broken CSV: field larger than field limit"):
        list(iter_csv_rows('a,b\n"1,2\n' + "3,4\n" * 40_000))
