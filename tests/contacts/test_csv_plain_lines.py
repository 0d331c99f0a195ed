"""Plain lines are read by the block, and come out as if each had been read alone."""

import io
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contacts.csv_uploads import bulk_insert
from contacts.csv_uploads.bulk_insert import CopyRow
from contacts.csv_uploads.columns import Layout, layout_of
from contacts.csv_uploads.header import read_header
from contacts.csv_uploads.lines import MAX_LINE_BYTES, Lines
from contacts.csv_uploads.row_reader import RowReader
from contacts.csv_uploads.rows import Rejected, parse_record, read_records
from contacts.csv_uploads.spoken_values import ValueRule
from contacts.destinations import Destinations
from tests.contacts.csv_files import DYNAMIC, STATIC

Place = tuple[int, int]
Parsed = list[CopyRow | Rejected]

MOST_BYTES = 512 * 1024
MOBILES = Destinations(frozenset(["IN"]), frozenset(["mobile"]))


@dataclass(frozen=True)
class Upload:
    """What the rows are read for."""

    is_dynamic: bool = False
    called: Destinations | None = MOBILES

    @property
    def rule(self) -> ValueRule | None:
        return ValueRule() if self.is_dynamic else None

    def opened(self, content: bytes, buffer: int) -> tuple[Layout, Lines]:
        lines = Lines(io.BufferedReader(io.BytesIO(content), buffer))
        return layout_of(read_header(lines), DYNAMIC if self.is_dynamic else STATIC), lines

    def one_by_one(self, content: bytes) -> list[tuple[CopyRow | Rejected, Place]]:
        """Return each row, and the place behind it."""
        layout, lines = self.opened(content, 8192)
        found: list[tuple[CopyRow | Rejected, Place]] = []
        for record in read_records(lines, layout):
            row = parse_record(record, layout, "IN", self.rule, self.called)
            copied = row if isinstance(row, Rejected) else bulk_insert.copy_row(row, dynamic=self.is_dynamic)
            found.append((copied, (lines.bytes_read, lines.lines_read)))
        return found

    def reader(self, layout: Layout, lines: Lines) -> RowReader:
        return RowReader(lines, layout, "IN", is_dynamic=self.is_dynamic, rule=self.rule, called=self.called)

    def in_batches(self, content: bytes, most: int, buffer: int) -> list[tuple[Parsed, Place]]:
        """Return each batch, and the place behind it."""
        layout, lines = self.opened(content, buffer)
        reader = self.reader(layout, lines)
        batches: list[tuple[Parsed, Place]] = []
        while not lines.is_at_end():
            parsed: Parsed = []
            reader.read_into(parsed, most, MOST_BYTES)
            batches.append((parsed, (lines.bytes_read, lines.lines_read)))
        return batches


UPLOADS = [
    pytest.param(Upload(), id="a static list"),
    pytest.param(Upload(is_dynamic=True), id="a dynamic list"),
    pytest.param(Upload(called=None), id="the do-not-call list"),
]
NUMBERS = st.sampled_from(
    ["+919810012345", " +919810012345 ", "+919810012346", "9810012345", "+9112", "", "+14155550123", '"+919810012345"']
)
CELLS = st.sampled_from(
    ["Rao", "Rao", " आशा ", "", "tab\there", "back\\slash", "\\N", "nul\0", "not UTF-8 \udc8e", "{0}",
     "x" * 256, "é" * 200, "#REF!", "\x0b", "\u2028", '"a; b, c"', 'say "hi"', '"two\nlines"', '"say ""hi"""',
     '=" Rao"', '"="" Rao"""',
     ' "spaced" ', '"tab\there"', '"back\\slash"', '""', '"open']
)  # fmt: skip
LINES = st.one_of(
    st.tuples(NUMBERS, CELLS),
    st.sampled_from(
        [(), ("",), (" ", " "), ("+919810012345",), ("+919810012345", "Rao", ""), ("a", "b", "c"), ('""', '" "')]
    ),
)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    delimiter = draw(st.sampled_from([",", "\t", ";"]))
    written: list[str] = []
    for cells in draw(st.lists(LINES, max_size=12)):
        repeated = draw(st.sampled_from([1, 1, 12]))
        written.extend([delimiter.join(cells)] * repeated)
    end = draw(st.sampled_from(["", "\n", "\n\n"]))
    return ("\n".join([f"number{delimiter}first_name", *written]) + end).encode(errors="surrogateescape")


@pytest.mark.parametrize("upload", UPLOADS)
@settings(max_examples=150, deadline=None)
@given(content=files(), most=st.sampled_from([1, 3, 10, 5000]), buffer=st.sampled_from([16, 64, 8192]))
def test_a_row_comes_out_as_if_it_had_been_read_alone(upload, content, most, buffer):
    expected = upload.one_by_one(content)
    places = {place for _, place in expected}
    batches = upload.in_batches(content, most, buffer)
    assert [row for parsed, _ in batches for row in parsed] == [row for row, _ in expected]
    for parsed, place in batches:
        assert len(parsed) <= most
        assert len(parsed) < most or place in places, "reading continues behind the last row"


@pytest.mark.parametrize("upload", UPLOADS)
@settings(max_examples=100, deadline=None)
@given(content=files(), most=st.sampled_from([1, 3, 10]), data=st.data())
def test_reading_continues_after_any_batch_as_if_it_had_not_stopped(upload, content, most, data):
    batches = upload.in_batches(content, most, 8192)
    if not batches:
        return
    stop = data.draw(st.integers(0, len(batches) - 1))
    layout, _ = upload.opened(content, 8192)
    bytes_read, lines_read = batches[stop][1]
    rest = Lines(io.BufferedReader(io.BytesIO(content[bytes_read:])), bytes_read, lines_read)
    parsed: Parsed = []
    upload.reader(layout, rest).read_into(parsed, 5000, MOST_BYTES)
    assert parsed == [row for later, _ in batches[stop + 1 :] for row in later]


PLAIN = ["+919810012345,आशा"] * 100


@pytest.fixture
def read_alone(monkeypatch):
    """The lines that were read alone."""
    lines: list[int] = []

    def parse(record, *arguments):
        lines.append(record.line)
        return parse_record(record, *arguments)

    monkeypatch.setattr("contacts.csv_uploads.row_reader.parse_record", parse)
    return lines


@pytest.mark.parametrize("upload", UPLOADS)
def test_no_plain_line_is_read_alone(upload, read_alone):
    content = "\n".join(["number,first_name", *PLAIN, ""]).encode()
    [(parsed, place)] = upload.in_batches(content, 5000, 8192)
    assert len(parsed) == 100
    assert place == (len(content), 101)
    assert read_alone == []


def test_no_line_with_quotes_that_end_in_it_is_read_alone(read_alone):
    content = "\n".join(["number,first_name", *['"+919810012345","Rao, A."'] * 100, ""]).encode()
    [(parsed, _)] = Upload().in_batches(content, 5000, 8192)
    assert read_alone == []
    assert isinstance(parsed[0], CopyRow)
    assert parsed[0].texts.startswith("Rao, A.\t")


def test_a_cell_that_spans_lines_costs_the_lines_around_it_little(read_alone):
    content = "\n".join(["number,first_name", *PLAIN, '+919810012345,"A\nRao"', *PLAIN, ""]).encode()
    [(parsed, _)] = Upload().in_batches(content, 5000, 64 * 1024)
    assert len(parsed) == 201
    assert 102 in read_alone
    assert len(read_alone) < 100


def test_a_carriage_return_is_escaped_for_copy():
    """No stored file has one. COPY would take it for the end of a row."""
    content = b"number,first_name\n+919810012345,a\rb\n"
    assert [parsed for parsed, _ in Upload().in_batches(content, 5000, 8192)] == [[Upload().one_by_one(content)[0][0]]]


def test_a_line_longer_than_a_block_is_read_alone_and_cut():
    long = "+919810012345," + "x" * (MAX_LINE_BYTES + 10)
    content = "\n".join(["number,first_name", long, *PLAIN]).encode()
    [(parsed, _)] = Upload().in_batches(content, 5000, 4 * MAX_LINE_BYTES)
    assert [type(row) for row in parsed] == [Rejected, *[CopyRow] * 100]
    assert isinstance(parsed[0], Rejected)
    assert parsed[0].reason.startswith("the line is longer")


def test_blank_lines_at_the_end_of_a_full_batch_are_not_looked_at_block_by_block(monkeypatch):
    """One row is missing, so a look takes one line: 100,000 looks would copy 100,000 blocks."""
    looks = []
    plain_lines = Lines.plain_lines

    def counted(*given):
        looks.append(given)
        return plain_lines(*given)

    monkeypatch.setattr(Lines, "plain_lines", counted)
    content = "\n".join(["number,first_name", *PLAIN, *[""] * 100_000, "+919810012345,Rao"]).encode()
    batches = Upload().in_batches(content, len(PLAIN) + 1, 8192)
    assert [len(parsed) for parsed, _ in batches] == [len(PLAIN) + 1]
    assert len(looks) < 200
