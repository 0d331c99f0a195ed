"""Which lines of a CSV file belong together: no quote hides a row, and every line is counted once."""

import io
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contacts.csv_uploads import records
from contacts.csv_uploads.columns import layout_of
from contacts.csv_uploads.header import read_header
from contacts.csv_uploads.lines import Lines
from contacts.csv_uploads.rows import Rejected, Row, parse_record, read_records
from contacts.csv_uploads.source import Received
from tests.contacts.csv_files import DYNAMIC, NUMBER, STATIC, rows

HEADER = "number,first_name,last_name"


def lines_of(found: list[Row | Rejected], kind: type) -> list[int]:
    return [row.line for row in found if isinstance(row, kind)]


class TestStrayQuote:
    def test_rejects_the_line_that_opens_it_and_the_one_that_closes_it(self):
        between = [f"+9197100{n:05d},Mina,Shah" for n in range(20000, 20008)]
        content = [HEADER, '+919710012345,"Asha,Rao', *between, '+919710012346,Ravi",x', "+919710012347,Leela,K"]
        found = rows("\n".join(content))
        assert lines_of(found, Rejected) == [2, 11]
        assert lines_of(found, Row) == [*range(3, 11), 12]
        assert {row.values["first_name"] for row in found if isinstance(row, Row)} == {"Mina", "Leela"}

    def test_rejects_its_line_alone_when_nothing_closes_it(self):
        found = rows(f'{HEADER}\n{NUMBER},Asha,Rao\n{NUMBER},"Asha,Rao\nMina\n{NUMBER},Mina,Shah\n')
        assert lines_of(found, Row) == [2, 5]
        assert lines_of(found, Rejected) == [3, 4]
        assert found[1] == Rejected(3, records.NOT_CLOSED, [NUMBER, '"Asha', "Rao"])

    def test_rejects_its_line_alone_when_the_cell_would_be_too_long(self):
        found = rows(f'{HEADER}\n{NUMBER},"Asha' + "\nx" * 40_000 + f'\n",Rao\n{NUMBER},Mina,Shah\n')
        assert lines_of(found, Row) == [40_004]
        assert lines_of(found, Rejected) == list(range(2, 40_004))

    @pytest.mark.parametrize(
        ("header", "first", "second"),
        [
            ("number,first_name,last_name", f'{NUMBER},"Asha,Rao', '+919810012346,Ravi",x'),
            ("number,first_name,last_name", f'"{NUMBER},Asha,Rao', '+919810012346,Ravi",x'),
            ("number,first_name,last_name", f'{NUMBER},"Asha,Rao', ',Ravi",x'),
            ("number,first_name,last_name", f'{NUMBER},"Asha,Rao', 'unknown,Ravi",x'),
            ("number,first_name,last_name", f'{NUMBER},"Asha,Rao', '98100 12346,Ravi",x'),
            ("number,first_name,last_name", f'{NUMBER},"Asha,Rao', "'+919810012346,Ravi\",x"),
            ("number,first_name,last_name", f'{NUMBER},"Asha,Rao', '\u202a+919810012346\u202c,Ravi",x'),
            ("number,first_name,last_name", f'{NUMBER},"Asha,Rao', '९८१००१२३४६,Ravi",x'),
            ("first_name,number", f'"Asha,{NUMBER}', 'Ravi",+919810012346'),
            ("first_name,number", '"Asha,x', 'Ravi",+919810012346'),
            ("first_name,last_name,number", f'Asha,"Rao,{NUMBER}', 'Ravi,K",+919810012346'),
            ("first_name,last_name,number", f'"Asha,Rao,{NUMBER}', '"Ravi","K",+919810012346'),
            ("first_name,number,last_name", f'Asha,{NUMBER},"Rao', 'Ravi,+919810012346,K"'),
            ("first_name,number,last_name", f'Asha,"{NUMBER},Rao', 'Ravi,+919810012346",K'),
        ],
    )
    def test_never_takes_a_row_into_another(self, header, first, second):
        found = rows(f"{header}\n{first}\n{second}\n{','.join('abc'[: header.count(',') + 1])}\n")
        assert [row.line for row in found] == [2, 3, 4]
        assert not isinstance(found[0], Row)
        texts = [" ".join(row.values.values()) for row in found if isinstance(row, Row)]
        assert not [text for text in texts if "Asha" in text and "Ravi" in text]

    @pytest.mark.parametrize(
        "pattern", ['{},"Asha\n', 'x,"Asha\n', '{},"a""\n', '"\n', 'Mina,"\n{},"Ra\nx\n', '{},"Asha\nx\ny\nz\n']
    )
    def test_makes_no_line_be_looked_ahead_at_more_than_once(self, pattern, monkeypatch):
        """So the work grows with the number of lines, however many quotes are open."""
        handed_out: Counter[int] = Counter()
        read = Lines.__next__

        def counted(lines: Lines) -> str:
            text = read(lines)
            handed_out[lines.lines_read] += 1
            return text

        monkeypatch.setattr(Lines, "__next__", counted)
        content = f"{HEADER}\n" + pattern.format(NUMBER) * 500
        rows(content)
        assert set(handed_out) == set(range(1, content.count("\n") + 1))
        assert max(handed_out.values()) <= 2, "once ahead, and once as the beginning of its own record"


class TestCellThatSpansLines:
    @pytest.mark.parametrize(
        ("header", "record", "value"),
        [
            ("number,first_name", f'{NUMBER},"Asha\nRao"', "Asha\nRao"),
            ("number,first_name", f'{NUMBER},"Asha\n\nRao"', "Asha\n\nRao"),
            ("number,first_name", f'{NUMBER},"12 MG Road\n560001 Bengaluru"', "12 MG Road\n560001 Bengaluru"),
            (
                "number,first_name",
                f'{NUMBER},"Called\n2024-01-15 10:30 no answer"',
                "Called\n2024-01-15 10:30 no answer",
            ),
            ("number,first_name", f'{NUMBER},"Asha ""A""\nRao"', 'Asha "A"\nRao'),
            ("first_name,number", f'"Asha\nRao",{NUMBER}', "Asha\nRao"),
            ("first_name,number", f'"Asha,\nRao",{NUMBER}', None),
            ("first_name,number", f'"Asha\n98100 12346 Rao",{NUMBER}', None),
            ("number,first_name,last_name", f'{NUMBER},"Rao,\nAsha","K, R"', "Rao,\nAsha"),
            ("first_name,number,last_name", f'"Asha\nRao",{NUMBER},"K\nR"', "Asha\nRao"),
            ("number,first_name", f'"{NUMBER}\n",Asha', "Asha"),
        ],
    )
    def test_is_read_where_no_line_of_it_could_be_a_row(self, header, record, value):
        found = rows(f"{header}\n{record}\n{','.join([NUMBER] * 2)}\n")
        if value is None:  # a line of it has as many cells as a row, or begins like one
            assert isinstance(found[0], Rejected)
            return
        assert isinstance(found[0], Row), found
        assert (found[0].number, found[0].values["first_name"]) == (NUMBER, value)
        assert found[1].line == 2 + record.count("\n") + 1

    def test_may_open_again_in_the_line_that_closes_it(self):
        found = rows(f'number,first_name,last_name\n{NUMBER},"Asha\nA","Rao\nR"\n')
        assert found == [Row(2, NUMBER, {"first_name": "Asha\nA", "last_name": "Rao\nR"})]


# A file, made of lines that know which row they belong to: every cell has the row's own mark, one character.


FIRST_MARK = 0x4E00


@dataclass(frozen=True)
class Written:
    """A row as it was written: its number, its mark, and its physical lines."""

    number: str
    mark: str
    lines: list[str]


# Made once: each strategy that is made within a draw is checked again, which takes longer than drawing from it.
WORDS = st.lists(
    st.sampled_from(["", "Rao", "आशा", "12 MG Road", "5000", 'say ""hi""', "a, b", "2024-01-15", "x;y"]),
    min_size=1,
    max_size=3,
)
NUMBER_CELLS = st.sampled_from(["{}", '"{}"', '"=""{}"""'])
STRAY = st.sampled_from(['"', '"', ",", ""])
BLANK = st.sampled_from(["", " ", ",,", "\t"])


def cell(draw: st.DrawFn, mark: str) -> str:
    """Draw a cell of the row with this mark. Some span lines."""
    texts = [f"{text} {mark}" for text in draw(WORDS)]
    return '"' + "\n".join(texts) + '"' if draw(st.booleans()) else texts[0].replace(",", "").replace('"', "")


def written_row(draw: st.DrawFn, number_at: int, position: int) -> Written:
    number = f"+9198{10_000_000 + position:08d}"
    mark = chr(FIRST_MARK + position)
    cells = [cell(draw, mark) for _ in range(2)]
    cells.insert(number_at, draw(NUMBER_CELLS).format(number))
    text = ",".join(cells)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(STRAY) + text[at:]
    return Written(number, mark, text.split("\n"))


@st.composite
def files(draw: st.DrawFn) -> tuple[int, list[Written]]:
    number_at = draw(st.integers(0, 2))
    count = draw(st.integers(1, 8))
    written = []
    for position in range(count):
        written.append(written_row(draw, number_at, position))
        if draw(st.booleans()):
            written.append(Written("", "", [draw(BLANK)]))
    return number_at, written


NAMES = ["first_name", "last_name"]
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@settings(max_examples=400, deadline=None)
@given(files(), ENDS, st.booleans())
def test_every_line_is_counted_once_and_no_row_holds_what_another_line_says(file, end, is_mixed):
    number_at, written = file
    names = list(NAMES)
    names.insert(number_at, "number")
    physical = [",".join(names)] + [line for row in written for line in row.lines]
    ends = [end] * len(physical)
    if is_mixed:
        ends[0] = "\n"
    content = "".join(map("".join, zip(physical, ends, strict=True))).encode()
    received = Received(io.BytesIO(content), "IN")
    lines = Lines(received.content())
    layout = layout_of(read_header(lines), STATIC)
    counted: list[int] = []
    after = lines.lines_read
    for record in read_records(lines, layout):
        row = parse_record(record, layout, "IN")
        # Up to the record there are blank lines only, and its own follow each other.
        assert not "".join(physical[after : row.line - 1]).strip(" ,\t")
        counted.extend(range(row.line, lines.lines_read + 1))
        after = lines.lines_read
        if isinstance(row, Row):
            own = next(written_row for written_row in written if written_row.number == row.number)
            marks = {character for value in row.values.values() for character in value if ord(character) >= FIRST_MARK}
            assert marks <= {own.mark}, row
        elif lines.lines_read > row.line:
            assert not row.reason.startswith(("a quote", "the line"))  # these reject one line
    spans = [n for n, text in enumerate(physical, start=1) if n > 1 and text.strip(" ,\t") and n not in counted]
    assert spans == [], "each line but the blank ones is counted"
    assert len(counted) == len(set(counted))
    assert lines.bytes_read == len(b"".join(received.content()))


@settings(max_examples=200, deadline=None)
@given(files(), st.data())
def test_reading_continues_after_any_record_as_if_it_had_not_stopped(file, data):
    number_at, written = file
    names = list(NAMES)
    names.insert(number_at, "number")
    content = "\n".join([",".join(names)] + [line for row in written for line in row.lines]).encode()

    def read(lines: Lines) -> list[tuple[records.Record, tuple[int, int]]]:
        return [(record, (lines.bytes_read, lines.lines_read)) for record in read_records(lines, layout)]

    lines = Lines(io.BytesIO(content))
    layout = layout_of(read_header(lines), DYNAMIC)
    whole = read(lines)
    if not whole:
        return
    stop = data.draw(st.integers(0, len(whole) - 1))
    bytes_read, lines_read = whole[stop][1]
    assert read(Lines(io.BytesIO(content[bytes_read:]), bytes_read, lines_read)) == whole[stop + 1 :]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_cell_that_is_written_as_a_formula_to_stay_text_is_read(delimiter):
    cells = [["number", "first_name"], ['="9810012345"', '="Asha"'], [' ="+919810012346" ', "x"], ['="98"1"', "x"]]
    read = rows("".join(delimiter.join(row) + "\n" for row in cells))
    assert read[:2] == [Row(2, "+919810012345", {"first_name": "Asha"}), Row(3, "+919810012346", {"first_name": "x"})]
    assert [type(row) for row in read[2:]] == [Rejected]
