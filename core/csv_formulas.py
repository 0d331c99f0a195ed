"""Put an apostrophe before cells that a spreadsheet would run as a formula, so that they stay text.

The signs are those of OWASP's page "CSV Injection", which counts their full-width forms, too. A plus followed by digits
alone is a phone number for people and a number for spreadsheets, and stays as it is.
"""

import re

_SIGNS = r"=+@\uFF1D\uFF0B\uFF20\uFF0D\t\r\n-"
_FORMULA = re.compile(rf"[{_SIGNS}]")
_NUMBER = re.compile(r"\+[0-9]*\Z")


def neutral(cell: str) -> str:
    """Return the cell with an apostrophe in front where a spreadsheet would run it."""
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.match(cell) else cell


def neutral_sql(expression: str) -> str:
    """Return an SQL expression that does the same to a text column without phone numbers."""
    return f"CASE WHEN {expression} ~ '^[{_SIGNS}]' THEN '''' || {expression} ELSE {expression} END"
