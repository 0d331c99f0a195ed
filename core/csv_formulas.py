"""Put an apostrophe before all that a spreadsheet would run as a formula, so that it stays text.

A spreadsheet may cut a file at other signs than those that it was written with: Excel cuts at semicolons where a comma
separates decimals, and there the quotes around a cell do not hold it together. So whatever stands behind a comma,
a semicolon, a tab or a line end inside a cell is guarded as if it were a cell of its own.

The signs are those of OWASP's page "CSV Injection"; in some languages the full-width ones count too. A plus and digits
is a phone number to people, programs and spreadsheets alike, and stays as it is; so does a number after a comma, as in
`[1,-2]`. After the other signs it does not: cut at semicolons, `;-1` and the next cell are one formula.
"""

import re

_RUNS = r"[=+@\uFF1D\uFF0B\uFF20\uFF0D-]"
# The places for an apostrophe, so written that Python and PostgreSQL understand them alike. Blanks and quotes before a
# formula do not keep it from running.
_PLACES = "|".join(
    [
        rf"^(?= *(?:{_RUNS}|[\t\r\n]))",
        rf"(?<=[;\t\r\n])(?=[ \"]*{_RUNS})",
        rf"(?<=,)(?=[ \"]*{_RUNS})(?! *[+-][0-9]+[.]?[0-9]*(?:\Z|[],}}]))",
    ]
)
# Quick to look for, and absent from most cells.
_ANY_SIGN = r"[=+@\uFF1D\uFF0B\uFF20\uFF0D\t\r\n-]"

_places = re.compile(_PLACES)
# Each of them with its apostrophe.
_guards = re.compile(rf"(?:^|(?<=[,;\t\r\n]))'(?=[ \"]*(?:{_RUNS}|[\t\r\n]))")
_number = re.compile(r"\+[0-9]*\Z")


def neutral(cell: str) -> str:
    """Return the cell with an apostrophe before all that a spreadsheet would run."""
    return cell if _number.match(cell) else _places.sub("'", cell)


def original(cell: str) -> str:
    """Return the cell that `neutral` was given; one with apostrophes of its own in such places loses them."""
    unguarded = _guards.sub("", cell)
    return unguarded if neutral(unguarded) == cell else cell


def neutral_sql(expression: str) -> str:
    """Return the SQL expression that does the same to a text column that holds no phone numbers."""
    return (
        f"CASE WHEN {expression} ~ '{_ANY_SIGN}' THEN regexp_replace({expression}, '{_PLACES}', '''', 'g')"
        f" ELSE {expression} END"
    )
