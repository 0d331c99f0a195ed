"""Workbooks (.xlsx) are read like text: written here by openpyxl, and by hand where no program writes such."""

import contextlib
import io
import random
import tracemalloc
import zipfile
from datetime import date, datetime
from datetime import time as time_of_day
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from contacts.csv_uploads import loading, rejected_rows, stored_file, workbook
from contacts.csv_uploads.columns import layout_of
from contacts.csv_uploads.lines import FileRefused, Lines
from contacts.csv_uploads.rows import Rejected, Row, parse_record, read_records
from contacts.csv_uploads.sheet import Sheet
from contacts.csv_uploads.source import Received
from contacts.models import Contact
from tests.contacts.csv_files import DYNAMIC, NUMBER, STATIC
from tests.contacts.test_csv_upload import counts, listed, loaded, numbers, receive
from tests.factories import AccountFactory


def book(*sheets: list[list[Any]], **options: Any) -> bytes:
    """Write a workbook with these rows in its sheets."""
    made: Any = openpyxl.Workbook()
    made.remove(made.active)
    for rows in sheets:
        sheet = made.create_sheet()
        for row in rows:
            sheet.append(row)
        for name, value in options.items():
            setattr(sheet, name, value)
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def by_hand(sheet: str, *, parts: dict[str, str | bytes] | None = None, strings: str = "", styles: str = "") -> bytes:
    """Write a workbook around the XML of one sheet's rows."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    relation = '<Relationship Id="{0}" Type="' + kinds + '/{1}" Target="{2}"/>'
    relations = "http://schemas.openxmlformats.org/package/2006/relationships"
    whole: dict[str, str | bytes] = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": f'<Relationships xmlns="{relations}">{relation.format("a", "officeDocument", "xl/workbook.xml")}'
        "</Relationships>",
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{kinds}"><sheets><sheet name="S" sheetId="1" r:id="r1"/>'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{relations}">'
        + relation.format("r1", "worksheet", "worksheets/sheet1.xml")
        + relation.format("r2", "sharedStrings", "/xl/sharedStrings.xml")
        + relation.format("r3", "styles", "styles.xml")
        + "</Relationships>",
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>',
        "xl/sharedStrings.xml": f'<sst xmlns="{main}">{strings}</sst>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}">{styles}</styleSheet>',
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (whole | (parts or {})).items():
            archive.writestr(name, content)
    return file.getvalue()


def cells(*texts: str, row: int = 1) -> str:
    return f'<row r="{row}">' + "".join(f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in texts) + "</row>"


def rows(content: bytes, choice=STATIC) -> list[Row | Rejected]:
    """Return the rows of a workbook, as intake and loader read them."""
    found = layout_of(Received(io.BytesIO(content), "IN").header(), choice)
    sheet = Sheet(io.BytesIO(content))
    lines = Lines(sheet.lines(found.header.line, len(found.columns)), 1, found.header.line)
    return [parse_record(record, found, "IN") for record in read_records(lines, found)]


def values(*row: Any) -> list[str]:
    """Return how the cells of a row are read."""
    names = [f"v{position}" for position in range(len(row))]
    (read,) = rows(book([["number", *names], [NUMBER, *row]]), DYNAMIC)
    assert isinstance(read, Row)
    return [read.values[name] for name in names]


class TestCells:
    def test_numbers_are_read_as_a_person_writes_them(self):
        assert values(500, 500.0, 0.1, -2.5, 1e-7) == ["500", "500", "0.1", "-2.5", "0.0000001"]

    @pytest.mark.parametrize("number", ["919810012345", "919810012345.0", "9.19810012345E11", "9.19810012345e+11"])
    def test_a_phone_number_that_became_a_number_is_read(self, number):
        (row,) = rows(by_hand(cells("number") + f'<row r="2"><c><v>{number}</v></c></row>'))
        assert row == Row(2, "+919810012345", {})

    def test_a_number_that_excel_has_rounded_is_refused(self):
        (row,) = rows(by_hand(cells("number") + '<row r="2"><c><v>9.1981001234567E+15</v></c></row>'))
        assert isinstance(row, Rejected)
        assert "a spreadsheet has rounded this number" in row.reason

    def test_dates_and_times_are_written_as_such(self):
        assert values(date(2024, 1, 15), datetime(2024, 1, 15, 10, 30),  # noqa: DTZ001 (openpyxl takes no other)
            time_of_day(9, 5)) == [
            "2024-01-15", "2024-01-15 10:30", "09:05",
        ]  # fmt: skip

    def test_days_may_be_counted_from_1904(self):
        made: Any = openpyxl.Workbook()
        made.epoch = CALENDAR_MAC_1904
        for row in (["number", "Due"], [NUMBER, date(2024, 1, 15)]):
            made.active.append(row)
        file = io.BytesIO()
        made.save(file)
        assert rows(file.getvalue(), DYNAMIC) == [Row(2, NUMBER, {"Due": "2024-01-15"})]

    @pytest.mark.parametrize(
        ("code", "shown"),
        [("dd/mm/yyyy", "2024-01-15"), ("[$-409]d-mmm-yy;@", "2024-01-15"), ("#,##0.00", "45306"), ('"day "0', "45306"),
         ("0.00%", "45306"), ("[Red]0", "45306"), ("[h]:mm", "2024-01-15"), ("General", "45306"),
         ('0 "hours"', "45306")],
    )  # fmt: skip
    def test_a_format_of_ones_own_says_whether_it_is_a_date(self, code, shown):
        made: Any = openpyxl.Workbook()
        for written in (["number", "Due"], [NUMBER, 45306]):
            made.active.append(written)
        made.active["B2"].number_format = code
        file = io.BytesIO()
        made.save(file)
        (row,) = rows(file.getvalue(), DYNAMIC)
        assert isinstance(row, Row)
        assert row.values == {"Due": shown}

    def test_texts_keep_their_characters_and_stay_on_one_line(self):
        assert values("आशा", 'say "hi"', "a,b;c", "two\nlines", "a\tb") == [
            "आशा", 'say "hi"', "a,b;c", "two lines", "a b",
        ]  # fmt: skip

    def test_booleans_and_errors_are_shown_as_excel_shows_them(self):
        assert values(True, False, "#N/A") == ["TRUE", "FALSE", "#N/A"]

    def test_a_formula_counts_with_its_last_result(self):
        sheet = cells("number", "Fee") + (
            f'<row r="2"><c t="str"><f>A1</f><v>{NUMBER}</v></c><c><f>1+1</f><v>2</v></c></row>'
        )
        assert rows(by_hand(sheet), DYNAMIC) == [Row(2, NUMBER, {"Fee": "2"})]

    def test_formatted_and_phonetic_text(self):
        strings = (
            "<si><t>number</t></si><si><t>first_name</t></si>"
            "<si><r><t>As</t></r><r><rPr><b/></rPr><t>ha</t></r><rPh sb='0' eb='1'><t>X</t></rPh></si>"
            "<si><t>a_x000D_\nb_x0041_</t></si>"
        )
        shared = '<row r="1"><c t="s"><v>0</v></c><c t="s"><v>1</v></c></row>'
        for position, name in ((2, "Asha"), (3, "a  bA")):
            row = f'<row r="2"><c><v>{NUMBER[1:]}</v></c><c t="s"><v>{position}</v></c></row>'
            assert rows(by_hand(shared + row, strings=strings)) == [Row(2, NUMBER, {"first_name": name})]

    def test_cells_that_are_left_out_are_empty(self):
        sheet = '<row r="1">{}</row><row r="3"><c r="B3"><v>919810012345</v></c></row>'.format(
            '<c r="A1" t="inlineStr"><is><t>tag</t></is></c><c r="B1" t="inlineStr"><is><t>number</t></is></c>'
        )
        assert rows(by_hand(sheet)) == [Row(3, NUMBER, {"tag": ""})]

    def test_names_may_have_prefixes(self):
        sheet = (
            '<x:worksheet xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><x:sheetData>'
            '<x:row><x:c t="inlineStr"><x:is><x:t>number</x:t></x:is></x:c></x:row>'
            "<x:row><x:c><x:v>919810012345</x:v></x:c></x:row></x:sheetData></x:worksheet>"
        )
        content = by_hand("", parts={"xl/worksheets/sheet1.xml": sheet})
        assert rows(content) == [Row(2, NUMBER, {})]

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.text(
                    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff_"), max_size=20
                ).filter(lambda text: text[:1] != "="),
                st.integers(-(10**14), 10**14),
                st.floats(-1e9, 1e9).map(lambda value: round(value, 4)),
            ),
            min_size=1,
            max_size=5,
        )
    )
    def test_are_what_openpyxl_reads(self, written):
        """It would write a text that begins with = as a formula."""
        content = book([["number", "Text", "Whole", "Part"], *([NUMBER, *row] for row in written)])
        read = rows(content, DYNAMIC)
        theirs: Any = openpyxl.load_workbook(io.BytesIO(content), read_only=True).active
        for row, (_, text, whole, part) in zip(read, list(theirs.values)[1:], strict=True):
            assert isinstance(row, Row)
            assert row.values["Text"] == (text or "").translate({0x85: " ", 0x2028: " ", 0x2029: " "}).strip()
            assert row.values["Whole"] == str(whole)
            assert float(row.values["Part"]) == part


class TestSheet:
    def test_the_first_with_data_is_read(self):
        assert rows(book([], [[None, None]], [["number"], [NUMBER]], [["number"], ["+919810012346"]])) == [
            Row(2, NUMBER, {})
        ]

    def test_a_hidden_one_is_passed_over(self):
        made: Any = openpyxl.Workbook()
        made.active.append(["Version"])
        made.active.sheet_state = "hidden"
        sheet = made.create_sheet()
        sheet.append(["number"])
        sheet.append([NUMBER])
        file = io.BytesIO()
        made.save(file)
        assert rows(file.getvalue()) == [Row(2, NUMBER, {})]

    def test_lines_are_the_rows_of_the_sheet(self):
        content = book([[], ["number", "tag"], [], [NUMBER, "a"], [], [], ["+9112", "b"]])
        assert [row.line for row in rows(content)] == [4, 7]

    def test_cells_beyond_the_header_are_not_read(self):
        assert rows(book([["number"], [NUMBER, "a note", None, "another"]])) == [Row(2, NUMBER, {})]

    def test_a_row_for_each_line_to_the_last_that_excel_has(self):
        sheet = cells("number") + f'<row r="1048576"><c><v>{NUMBER[1:]}</v></c></row>'
        assert rows(by_hand(sheet)) == [Row(1_048_576, NUMBER, {})]

    @pytest.mark.parametrize(
        ("sheet", "says"),
        [
            ("", "line 1: there is no header"),
            (cells("", " "), "line 1: there is no header"),
            (cells("name", "city"), "line 1: no column is named number"),
            (cells("number", "city"), "line 1: city is no column of a static list"),
            (cells("number", "number"), "stands twice"),
            (cells("number", row=2000), "there is no header"),
            (cells("number", *["a"] * 1001), "more than 1,000 columns"),
        ],
    )
    def test_without_a_header_is_refused(self, sheet, says):
        with pytest.raises(FileRefused, match=says):
            rows(by_hand(sheet))

    def test_whose_rows_are_out_of_order_is_refused(self):
        sheet = cells("number") + cells(NUMBER, row=3) + cells(NUMBER, row=2)
        with pytest.raises(FileRefused, match=r"line 3: the rows after this one are out of order"):
            rows(by_hand(sheet))


# Not so even that its compression would give it away.
LONG_TAG = b"<a b='" + random.Random(1).randbytes(1_500_000).hex().encode()
BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


class TestRefused:
    @pytest.mark.parametrize(
        "part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "xl/_rels/workbook.xml.rels", "_rels/.rels"]
    )
    @pytest.mark.parametrize(
        "content",
        [BOMB + "<a>&b;</a>", "", "<a>", "<a></b>", "\0\0", "<a>" * 5000, LONG_TAG, "&#0;"],
    )
    def test_with_xml_that_is_damaged_or_built_to_harm(self, part, content):
        with pytest.raises(FileRefused, match=r"damaged|there is no header"):
            rows(by_hand(cells("number"), parts={part: content}))

    @pytest.mark.parametrize("part", ["xl/sharedStrings.xml", "xl/styles.xml"])
    def test_with_such_xml_that_only_the_loader_reads(self, part):
        sheet = '<row r="1"><c t="s"><v>0</v></c></row>'
        with pytest.raises(FileRefused, match="damaged"):
            rows(by_hand(sheet, parts={part: BOMB + "<a>&b;</a>"}))

    def test_of_a_shared_string_that_is_not_there(self):
        with pytest.raises(FileRefused, match="damaged"):
            rows(by_hand('<row r="1"><c t="s"><v>7</v></c></row>'))

    def test_larger_inside_than_a_list(self, monkeypatch):
        monkeypatch.setattr("contacts.csv_uploads.sheet.MAX_SHEET_BYTES", 1000)
        with pytest.raises(FileRefused, match="larger inside"):
            rows(by_hand(cells(*["number"] * 100)))

    def test_packed_better_than_any_list(self):
        content = by_hand(cells("number"), parts={"xl/worksheets/sheet1.xml": b"<a>" + b" " * 3_000_000})
        with pytest.raises(FileRefused, match="larger inside"):
            rows(content)

    def test_of_very_many_parts_before_its_directory_is_read(self):
        many: dict[str, str | bytes] = {f"xl/media/{n}.png": b"" for n in range(workbook.MAX_PARTS)}
        with pytest.raises(FileRefused, match="too many parts"):
            rows(by_hand(cells("number"), parts=many))

    @pytest.mark.parametrize(
        ("names", "says"),
        [
            (["a.csv"], "a zip archive: unpack it"),
            (["mimetype", "content.xml"], "an OpenDocument file"),
            (["Index/Document.iwa"], "of Numbers: export it"),
            (["[Content_Types].xml", "xl/workbook.bin"], "an .xlsb"),
            (["[Content_Types].xml", "word/document.xml"], "a document, not a sheet"),
            (["[Content_Types].xml"], "damaged"),
        ],
    )
    def test_other_archives(self, names, says):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, "x")
        with pytest.raises(FileRefused, match=says):
            rows(file.getvalue())

    def test_with_a_password_on_its_archive(self):
        content = bytearray(by_hand(cells("number")))
        for position, signature, offset in ((0, b"PK\x03\x04", 6), (0, b"PK\x01\x02", 8)):
            while (position := content.find(signature, position)) >= 0:
                content[position + offset] |= 1
                position += 4
        with pytest.raises(FileRefused, match="password"):
            rows(bytes(content))

    @settings(max_examples=300, deadline=None)
    @given(st.integers(0, 2**32), st.integers(1, 20), st.booleans())
    def test_or_read_whatever_is_broken_in_it(self, seed, count, is_cut):
        """Bytes are changed or cut off; nothing but a refusal may come of it."""
        content = bytearray(WHOLE)
        chance = random.Random(seed)
        for _ in range(count):
            content[chance.randrange(4, len(content))] = chance.randrange(256)
        if is_cut:
            del content[chance.randrange(4, len(content)) :]
        with contextlib.suppress(FileRefused):
            rows(bytes(content))


WHOLE = book([["number", "first_name", "tag"], *([number, "Asha", 5] for number in numbers(50))])


@pytest.mark.django_db
class TestUpload:
    @pytest.fixture
    def account(self):
        return AccountFactory()

    def test_is_loaded_like_text(self, account, monkeypatch):
        monkeypatch.setattr(loading, "BATCH", 3)
        monkeypatch.setattr(stored_file, "PIECE_BYTES", 1000)
        rows = [[number, "आशा"] for number in numbers(10)]
        upload = loaded(account, book([["Mobile", "Name"], *rows[:5], [], ["+9112", "x"], *rows[5:], rows[0]]))
        assert (upload.status, counts(upload)) == ("completed", (12, 10, 1, 1))
        assert listed(upload) == numbers(10)
        assert upload.rejected.get().line == 8
        assert set(Contact.objects.values_list("first_name", flat=True)) == {"आशा"}

    def test_is_continued_where_a_worker_died(self, account, monkeypatch):
        monkeypatch.setattr(loading, "BATCH", 3)
        upload = receive(account, book([["number"], *([number] for number in numbers(10))]))
        genuine = loading._store

        def store(row, *args, **options):
            if row.rows_total == 6:
                raise KeyboardInterrupt
            return genuine(row, *args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(loading, "_store", store)
            with pytest.raises(KeyboardInterrupt):
                loading.load(upload.pk)
        type(upload).objects.update(is_held=False)
        loading.load(upload.pk)
        upload.refresh_from_db()
        assert (upload.status, counts(upload)) == ("completed", (10, 10, 0, 0))
        assert (upload.lines_read, listed(upload)) == (11, numbers(10))

    def test_that_breaks_off_fails_with_the_rows_before_it_loaded(self, account, monkeypatch):
        monkeypatch.setattr(loading, "BATCH", 3)
        sheet = cells("number") + "".join(cells(number, row=n + 2) for n, number in enumerate(numbers(4)))
        sheet += cells(numbers(1)[0], row=3)
        upload = loaded(account, by_hand(sheet))
        assert (upload.status, counts(upload)) == ("failed", (4, 4, 0, 0))
        assert upload.error.startswith("line 5: the rows after this one are out of order")
        assert "4 rows loaded" in upload.error

    def test_gives_its_rejected_rows_as_csv(self, account):
        upload = loaded(account, book([["number", "tag"], ["+9112", 'say "hi"\nx']]))
        assert b"".join(rejected_rows.stream(upload)).decode("utf-8-sig").splitlines() == [
            "line,reason,number,tag",
            '2,not a valid number: +9112,+9112,"say ""hi"" x"',
        ]


def test_a_large_workbook_is_read_in_little_memory():
    count = 30_000
    sheet = "".join(
        f'<row r="{row}"><c r="A{row}" t="s"><v>{2 * row - 2}</v></c><c r="B{row}" t="s"><v>{2 * row - 1}</v></c></row>'
        for row in range(2, count + 2)
    )
    strings = "<si><t>number</t></si><si><t>tag</t></si>" + "".join(
        f"<si><t>{number}</t></si><si><t>tag {number}</t></si>" for number in numbers(count)
    )
    content = by_hand('<row r="1"><c t="s"><v>0</v></c><c t="s"><v>1</v></c></row>' + sheet, strings=strings)
    found = layout_of(Received(io.BytesIO(content), "IN").header(), STATIC)
    tracemalloc.start()
    read = Sheet(io.BytesIO(content))
    lines = Lines(read.lines(1, 2), 1, 1)
    assert sum(1 for _ in read_records(lines, found)) == count
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000, f"{peak:,} bytes"
