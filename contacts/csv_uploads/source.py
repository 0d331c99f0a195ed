"""The header and the lines of a file, text or workbook, from an upload's form and from the database."""

from typing import IO

from contacts.csv_uploads import file_formats, stored_file, text_encoding
from contacts.csv_uploads.columns import Layout
from contacts.csv_uploads.header import Header, read_header
from contacts.csv_uploads.lines import Lines
from contacts.csv_uploads.sheet import DELIMITER, Sheet
from contacts.csv_uploads.workbook import refuse_large_directory
from contacts.models import CsvUpload


class Received:
    """A file as a client sent it.

    Text is stored as UTF-8 with LF at the end of each line, a workbook as it is.
    """

    def __init__(self, file: IO[bytes], region: str) -> None:
        """Find out what the file is.

        Args:
            file: seekable.
            region: of the account, which tells how its text may be encoded.

        Raises:
            FileRefused: it is neither text nor a workbook.
        """
        self._file = file
        self._is_workbook = file_formats.is_workbook(file)
        if self._is_workbook:
            refuse_large_directory(file)
        else:
            self._encoding = text_encoding.detect(file, region)

    def header(self) -> Header:
        """Read the header. Raises FileRefused where there is none."""
        if self._is_workbook:
            return read_header(Lines(Sheet(self._file).header_lines()), DELIMITER)
        return read_header(Lines(self.content()))

    def content(self) -> IO[bytes]:
        """Return what is to be stored."""
        if self._is_workbook:
            self._file.seek(0)
            return self._file
        return text_encoding.open_as_utf8(self._file, self._encoding)


def open_stored(upload: CsvUpload) -> tuple[Layout, Lines]:
    """Return the layout of an upload's rows, and its lines from where reading continues."""
    file = stored_file.open_at(upload)
    if file_formats.is_workbook(file):
        sheet = Sheet(file)
        lines = Lines(sheet.header_lines())
        header = read_header(lines, DELIMITER)
        place = upload if upload.bytes_read else lines
        lines = Lines(sheet.lines(place.lines_read, len(header.names)), place.bytes_read, place.lines_read)
    else:
        lines = Lines(stored_file.open_at(upload))
        header = read_header(lines)
        if upload.bytes_read:
            lines = Lines(stored_file.open_at(upload, upload.bytes_read), upload.bytes_read, upload.lines_read)
    return Layout(header, tuple(upload.columns)), lines
