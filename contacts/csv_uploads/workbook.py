"""An .xlsx workbook, read as a stream: its parts, its shared strings and the formats of its cells.

The file is somebody's upload: an archive of XML that may be damaged or built to harm. What it declares is checked
before it is unpacked, document types and with them entities are refused, and of its parts only the shared strings are
held in memory.
"""

import posixpath
import re
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator
from typing import IO
from xml.parsers import expat

from contacts.csv_uploads.lines import FileRefused

# Real workbooks stay far below. A sheet of 500,000 rows and ten columns has 300 MB of XML, a tenth of it compressed.
MAX_PARTS = 5000
MAX_SHEET_BYTES = 1024 * 1024 * 1024
MAX_STRINGS_BYTES = 128 * 1024 * 1024  # of XML; the strings themselves are held in memory
MAX_OTHER_BYTES = 16 * 1024 * 1024
MAX_RATIO = 200
_SMALL = 1024 * 1024  # parts of this size may be compressed by any ratio
_MAX_SHEETS = 256

# A cell's text is cut there. Longer ones are rejected anyway (columns.MAX_CELL).
MAX_TEXT = 4096
_MAX_TOKEN = 1024 * 1024
_MAX_DEPTH = 100
_CHUNK = 64 * 1024

_DAMAGED = "the workbook is damaged: open it, save it again as .xlsx, and send that"
UNREADABLE = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, KeyError)

Start = Callable[[str, dict[str, str]], None]
End = Callable[[str], None]
Characters = Callable[[str], None]


class Workbook:
    """The parts of a workbook.

    Attributes:
        counts_from_1904: whether days are counted from 1904, not 1900.
        sheets: the names of the parts that hold the visible sheets, in their order.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """Read the list of sheets.

        Args:
            file: seekable.

        Raises:
            FileRefused: it is no workbook, or larger inside than a list of contacts.
        """
        try:
            self._archive = zipfile.ZipFile(file)
            self._parts = {part.filename.replace("\\", "/"): part for part in self._archive.infolist()}
            self._refuse_other_archives()
            book = self._target("", self._relations(""), "/officeDocument") or "xl/workbook.xml"
            relations = self._relations(book)
            self.counts_from_1904 = False
            self.sheets = self._visible_sheets(book, relations)
        except UNREADABLE as error:
            raise FileRefused(_DAMAGED) from error
        self._strings_part = self._target(book, relations, "/sharedStrings")
        self._styles_part = self._target(book, relations, "/styles")

    def read(self, name: str, most: int) -> Iterator[bytes]:
        """Yield a part in chunks.

        Raises:
            FileRefused: it is missing, damaged, or larger than `most`.
        """
        part = self._parts.get(name)
        if part is None:
            raise FileRefused(_DAMAGED)
        if part.flag_bits & 1:
            raise FileRefused("the workbook has a password: save it without one")
        if part.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise FileRefused(_DAMAGED)
        is_packed_too_well = part.file_size > _SMALL and part.file_size > MAX_RATIO * part.compress_size
        if part.file_size > most or is_packed_too_well:
            raise FileRefused(
                f"the workbook is larger inside ({part.file_size // 1024 // 1024} MB) than a list of contacts: copy the"
                " rows into a new one, or save the sheet as CSV UTF-8"
            )
        try:
            with self._archive.open(part) as stream:
                yield from iter(lambda: stream.read(_CHUNK), b"")
        except UNREADABLE as error:
            raise FileRefused(_DAMAGED) from error

    def strings(self, most: int | None = None) -> "SharedStrings":
        """Return the shared strings, or the first `most` of them."""
        strings = SharedStrings()
        if self._strings_part:
            strings.read(self.read(self._strings_part, MAX_STRINGS_BYTES), most)
        return strings

    def date_styles(self) -> frozenset[int]:
        """Return the styles whose cells are dates or times of day."""
        formats = _Formats()
        if self._styles_part:
            for _ in parse(self.read(self._styles_part, MAX_OTHER_BYTES), formats.start):
                pass
        return frozenset(formats.dates())

    def _visible_sheets(self, book: str, relations: dict[str, tuple[str, str]]) -> list[str]:
        sheets: list[str] = []

        def start(name: str, attributes: dict[str, str]) -> None:
            if name == "workbookPr":
                self.counts_from_1904 = attributes.get("date1904") in {"1", "true"}
            elif name == "sheet" and attributes.get("state", "visible") == "visible":
                relation = next((value for key, value in attributes.items() if key.endswith(":id")), "")
                kind, target = relations.get(relation, ("", ""))
                if kind.endswith("/worksheet") and len(sheets) < _MAX_SHEETS:
                    sheets.append(target)

        for _ in parse(self.read(book, MAX_OTHER_BYTES), start):
            pass
        return sheets

    def _relations(self, part: str) -> dict[str, tuple[str, str]]:
        """Return the kind and the target of each relation of a part, by its id."""
        folder, _, name = part.rpartition("/")
        relations: dict[str, tuple[str, str]] = {}

        def start(name: str, attributes: dict[str, str]) -> None:
            if name == "Relationship":
                target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", "")))
                relations[attributes.get("Id", "")] = (attributes.get("Type", ""), target.lstrip("/"))

        for _ in parse(self.read(posixpath.join(folder, "_rels", f"{name}.rels"), MAX_OTHER_BYTES), start):
            pass
        return relations

    @staticmethod
    def _target(part: str, relations: dict[str, tuple[str, str]], kind: str) -> str:
        return next((target for its_kind, target in relations.values() if its_kind.endswith(kind)), "")

    def _refuse_other_archives(self) -> None:
        if "xl/workbook.bin" in self._parts:
            raise FileRefused("the file is an .xlsb: save the sheet as .xlsx or as CSV UTF-8")
        if any(name.startswith("Index/") or name == "Index.zip" for name in self._parts):
            raise FileRefused("the file is of Numbers: export it as .xlsx or as CSV")
        if "mimetype" in self._parts:
            raise FileRefused("the file is an OpenDocument file: save the sheet as .xlsx or as CSV UTF-8")
        if any(name.startswith(("word/", "ppt/")) for name in self._parts):
            raise FileRefused("the file is a document, not a sheet: save the list as .xlsx or as CSV UTF-8")
        if "[Content_Types].xml" not in self._parts:
            raise FileRefused("the file is a zip archive: unpack it, and send the file in it")


def refuse_large_directory(file: IO[bytes]) -> None:
    """Refuse an archive of very many parts before its directory is read into memory.

    Each part's entry in the directory begins with the same four bytes, whatever the archive says of their number.
    """
    file.seek(0)
    count, end = 0, b""
    while piece := file.read(1024 * 1024):
        count += (end + piece).count(b"PK\x01\x02")
        end = piece[-3:]
    if count > MAX_PARTS:
        raise FileRefused(
            "the workbook has too many parts: copy the rows into a new one, or save the sheet as CSV UTF-8"
        )


def parse(
    chunks: Iterator[bytes], start: Start, end: End | None = None, characters: Characters | None = None
) -> Iterator[None]:
    """Parse XML, and yield after each chunk. Names of elements come without their prefixes.

    Raises:
        FileRefused: it is damaged, has a document type, nests too deep, or one of its tags is absurdly long.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    depth = fed = 0

    def on_start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise FileRefused(_DAMAGED)
        if ":" in name:
            name = name.rpartition(":")[2]
        start(name, attributes)

    def on_end(name: str) -> None:
        nonlocal depth
        depth -= 1
        if end:
            end(name.rpartition(":")[2] if ":" in name else name)

    parser.StartElementHandler = on_start
    parser.EndElementHandler = on_end
    parser.StartDoctypeDeclHandler = _refuse_document_type
    if characters:
        parser.CharacterDataHandler = characters
    try:
        for chunk in chunks:
            parser.Parse(chunk)
            fed += len(chunk)
            if fed - parser.CurrentByteIndex > _MAX_TOKEN:
                raise FileRefused(_DAMAGED)
            yield
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise FileRefused(_DAMAGED) from error
    yield


def _refuse_document_type(*_: object) -> None:
    raise FileRefused(_DAMAGED)


class SharedStrings:
    """The texts that cells refer to by number, in one block of memory."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q")
        self._text: list[str] = []
        self._is_text = False
        self._is_phonetic = False

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, position: int) -> str:
        if not 0 <= position < len(self._ends):
            raise FileRefused(_DAMAGED)
        start = self._ends[position - 1] if position else 0
        return self._bytes[start : self._ends[position]].decode(errors="surrogatepass")

    def read(self, chunks: Iterator[bytes], most: int | None) -> None:
        for _ in parse(chunks, self._start, self._end, self._characters):
            if most is not None and len(self) >= most:
                return

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "t":
            self._is_text = not self._is_phonetic
        elif name == "rPh":
            self._is_phonetic = True

    def _end(self, name: str) -> None:
        if name == "t":
            self._is_text = False
        elif name == "rPh":
            self._is_phonetic = False
        elif name == "si":
            self._bytes += "".join(self._text)[:MAX_TEXT].encode(errors="surrogatepass")
            self._ends.append(len(self._bytes))
            self._text = []

    def _characters(self, text: str) -> None:
        if self._is_text and len(self._text) < MAX_TEXT:
            self._text.append(text)


class _Formats:
    """The number formats of a workbook: which styles show a number as a date."""

    # Of the formats that need no definition, those that are dates or times (ECMA-376, 18.8.30, with the Asian ones).
    _BUILT_IN = frozenset([*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)])
    # What does not belong to the format itself: text in quotes, escaped characters, colours and conditions.
    _NOT_FORMAT = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)

    def __init__(self) -> None:
        self._own: dict[str, str] = {}
        self._styles: list[str] = []
        self._is_of_cells = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "numFmt":
            self._own[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name in {"cellXfs", "cellStyleXfs"}:
            self._is_of_cells = name == "cellXfs"
        elif name == "xf" and self._is_of_cells:
            self._styles.append(attributes.get("numFmtId", "0"))

    def dates(self) -> Iterator[int]:
        for style, number_format in enumerate(self._styles):
            if number_format in self._own:
                code = self._NOT_FORMAT.sub("", self._own[number_format]).partition(";")[0]
                is_date = re.search("[dmyhs]", code, re.IGNORECASE) is not None and "General" not in code
            else:
                is_date = number_format.isdecimal() and int(number_format) in self._BUILT_IN
            if is_date:
                yield style
