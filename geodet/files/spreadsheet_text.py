"""Text in CSV that no spreadsheet takes for a formula."""

from __future__ import annotations

__all__ = ["plain_text", "safe_text"]

# OWASP, CSV injection; with the full-width forms, which some spreadsheets take for the plain ones.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001
_MARK = "'"


def safe_text(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would run, as OWASP advises.

    Numbers are to be written as they are. The apostrophe shows in programs other than spreadsheets;
    :func:`plain_text` takes it away.

    Example:
        >>> safe_text("=HYPERLINK(1)"), safe_text("oak"), safe_text("'=x")
        ("'=HYPERLINK(1)", 'oak', "''=x")

    Reference:
        https://owasp.org/www-community/attacks/CSV_Injection
    """
    return f"{_MARK}{text}" if text.lstrip(_MARK).startswith(_FORMULA) else text


def plain_text(text: str) -> str:
    """Undo :func:`safe_text`.

    Example:
        >>> plain_text("'=x"), plain_text("'s-Hertogenbosch")
        ('=x', "'s-Hertogenbosch")
    """
    is_marked = text.startswith(_MARK) and text.lstrip(_MARK).startswith(_FORMULA)
    return text[1:] if is_marked else text
