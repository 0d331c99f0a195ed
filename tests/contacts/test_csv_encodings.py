# ruff: noqa: RUF001 (names as they are written)
"""Text files in other encodings are read where the encoding is certain; otherwise the rows say what is wrong."""

import codecs
import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contacts.csv_uploads import text_encoding
from contacts.csv_uploads.lines import FileRefused
from contacts.csv_uploads.rows import Rejected, Row
from tests.contacts.csv_files import NUMBER, one, rows

HEADER = "number,first_name\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["Asha", "आशा", "Zoë", "李雷", "😀"])
def test_unicode_is_read_in_any_encoding_with_any_line_ends(encoding, end, name):
    content = f"number,first_name\n{NUMBER},{name}\n\n+919810012346,x".replace("\n", end).encode(encoding)
    assert rows(content) == [Row(2, NUMBER, {"first_name": name}), Row(4, "+919810012346", {"first_name": "x"})]


def test_a_mark_of_big_endian_utf16_is_known():
    content = codecs.BOM_UTF16_BE + f"{HEADER}{NUMBER},आशा\n".encode("utf-16-be")
    assert one(content) == Row(2, NUMBER, {"first_name": "आशा"})


def test_rows_may_end_in_cr_below_a_header_that_ends_in_lf():
    found = rows(f"{HEADER}{NUMBER},Asha\r+919810012346,Mina\r".encode())
    assert [(row.line, type(row)) for row in found] == [(2, Row), (3, Row)]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60), st.integers(1, 9))
def test_text_comes_through_wherever_the_pieces_end(text, piece):
    file = io.BytesIO(text.encode("utf-16"))
    default, text_encoding._PIECE = text_encoding._PIECE, piece
    try:
        content = text_encoding.open_as_utf8(file, text_encoding.detect(file, "IN")).read().decode()
    finally:
        text_encoding._PIECE = default
    assert content == text.replace("\r\n", "\n").replace("\r", "\n")


def test_a_utf16_file_that_breaks_off_inside_a_character_rejects_its_last_row():
    loaded, rejected = rows(f"{HEADER}{NUMBER},Asha\n{NUMBER},Mina".encode("utf-16")[:-1])
    assert isinstance(loaded, Row)
    assert isinstance(rejected, Rejected)
    assert rejected.reason.startswith("the text is not UTF-8")


class TestCodePage1252:
    @pytest.mark.parametrize("region", ["IN", "DE", "FR", "BR", "US", "ID"])
    @pytest.mark.parametrize(
        "name",
        ["André", "José Muñoz", "Müller", "MÜLLER", "Öz", "Åsa", "Zoë", "Øyvind Sørensen", "François", "Élodie",
         "Ñuñez", "Weiß", "O’Brien", "Asha’s", "“Asha”", "Asha – Mina", "5 € Émile", "Émile…", "à la carte, André",
         "N° 5 Zoë"],
    )  # fmt: skip
    def test_is_read(self, name, region):
        content = f'number,first_name\n{NUMBER},"{name}"\n+12025550123,Émile\n'.encode("cp1252")
        number = rows(content, region=region)[0]
        assert number == Row(2, NUMBER, {"first_name": name})

    def test_is_read_where_only_the_number_has_a_sign_of_it(self):
        assert one(f"{HEADER}’{NUMBER},Asha\n".encode("cp1252")) == Row(2, NUMBER, {"first_name": "Asha"})

    def test_is_read_in_the_header(self):
        assert one(f"Téléphone,Prénom\n{NUMBER},Zoé\n".encode("cp1252"), region="FR") == Row(
            2, NUMBER, {"first_name": "Zoé"}
        )

    @pytest.mark.parametrize("name", ["Þór", "Ýmir Guðmundsson"])
    def test_letters_of_iceland_are_read_there_only(self, name):
        content = f"{HEADER}{NUMBER},{name}\n".encode("cp1252")
        assert one(content, region="IS") == Row(2, NUMBER, {"first_name": name})
        assert isinstance(one(content, region="DE"), Rejected)

    @pytest.mark.parametrize(
        ("encoding", "name"),
        [
            ("mac_roman", "André"), ("mac_roman", "García"), ("mac_roman", "Muñoz"), ("mac_roman", "Müller"),
            ("mac_roman", "Öster"), ("mac_roman", "Jesús"), ("mac_roman", "Díaz"),
            ("cp850", "José"), ("cp850", "García"), ("cp850", "Müller"), ("cp850", "Muñoz"), ("cp850", "São"),
            ("cp437", "Schön"), ("cp437", "Ramón"),
            ("cp1250", "Łukasz"), ("cp1250", "Tomáš"), ("cp1250", "Brașov".replace("ș", "ş")),
            ("cp1251", "Иван"), ("cp1251", "Ян"), ("cp1253", "Γιώργος"), ("cp1254", "Ayşe"), ("cp1254", "Işık"),
            ("cp1255", "משה"), ("cp1256", "محمد"), ("cp874", "สมชาย"), ("shift_jis", "山田"), ("gbk", "张伟"),
            ("big5", "張偉"), ("euc-kr", "김철수"),
        ],
    )  # fmt: skip
    def test_is_not_assumed_where_it_is_not_certain(self, encoding, name):
        content = HEADER.encode() + f"{NUMBER},{name}\n+919810012346,Asha\n".encode(encoding)
        rejected, loaded = rows(content)
        assert isinstance(rejected, Rejected), rejected
        assert rejected.reason == "the text is not UTF-8: save the file as CSV UTF-8"
        assert loaded == Row(3, "+919810012346", {"first_name": "Asha"})

    @pytest.mark.parametrize("region", ["PL", "RU", "TR", "GR", "VN", "JP", "AE"])
    def test_is_not_assumed_where_windows_uses_another(self, region):
        assert isinstance(one(f"{HEADER}{NUMBER},André\n".encode("cp1252"), region=region), Rejected)

    # Read as code page 1252, the bytes of the last four are letters and signs in usual places.
    @pytest.mark.parametrize("name", ["आशा", "Zoë", "😀", "1º", "3ª", "30°", "ê"])
    @pytest.mark.parametrize("is_first", [True, False])
    def test_is_not_assumed_in_a_file_that_has_utf8_too(self, name, is_first):
        lines = [f"{NUMBER},André\n".encode("cp1252"), f"+919810012346,{name}\n".encode()]
        read = rows(HEADER.encode() + b"".join(reversed(lines) if is_first else lines))
        loaded, rejected = read if is_first else reversed(read)
        assert isinstance(rejected, Rejected)
        assert rejected.reason == "the text is not UTF-8: save the file as CSV UTF-8"
        assert loaded == Row(loaded.line, "+919810012346", {"first_name": name})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 1000, r"an \.xls of old Excel, or a workbook with a password"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"\x1f\x8b\x08\0\0\0", "unpack it"),
        (b"\n<html><table>", "a web page"),
        (b"\xef\xbb\xbf<!DOCTYPE html>", "a web page"),
        (b"BEGIN:VCARD\nTEL:+919810012345\nEND:VCARD\n", "a vCard: export the contacts as CSV"),
        (b'[{"number": "+919810012345"}]', "JSON"),
        (b"\x89PNG\r\n\x1a\n", "a picture"),
    ],
)
def test_other_files_are_refused_with_what_to_do(content, says):
    with pytest.raises(FileRefused, match=f"the file is .*{says}"):
        rows(content)


@pytest.mark.parametrize("line", ["Müller,5", "é", "a\xe9" * 20, "", "\x92", "x" * 1000 + "é"])
def test_a_large_file_is_looked_through_in_little_memory(line):
    content = (HEADER + f"{NUMBER},{line}\n" * (8_000_000 // (len(line) + 16))).encode("latin-1")
    file = io.BytesIO(content)
    tracemalloc.start()
    encoding = text_encoding.detect(file, "IN")
    stream = text_encoding.open_as_utf8(file, encoding)
    size = sum(map(len, iter(lambda: stream.read(1024 * 1024), b"")))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size >= len(content)
    assert peak < 16_000_000, f"{peak:,} bytes"
