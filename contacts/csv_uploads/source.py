"""The header and the lines of a text file, from an upload's form and from the database."""

from typing import IO

from contacts.csv_uploads import file_formats, stored_file, text_encoding
from contacts.csv_uploads.columns import Layout
from contacts.csv_uploads.header import Header, read_header
from contacts.csv_uploads.lines import FileRefused, Lines
from contacts.models import CsvUpload


class Received:
    """A text file as a client sent it; it is stored as UTF-8 with LF at the end of each line."""

    def __init__(self, file: IO[bytes], region: str) -> None:
        """Find out what the file is.

        Args:
            file: seekable.
            region: of the account, which tells how its text may be encoded.

        Raises:
            FileRefused: it is not text.
        """
        self._file = file
        if file_formats.is_workbook(file):
            raise FileRefused("the file is a workbook or an archive: save the sheet as CSV UTF-8")
        self._encoding = text_encoding.detect(file, region)

    def header(self) -> Header:
        """Read the header. Raises FileRefused where there is none."""
        return read_header(Lines(self.content()))

    def content(self) -> IO[bytes]:
        """Return what is to be stored."""
        return text_encoding.open_as_utf8(self._file, self._encoding)


def open_stored(upload: CsvUpload) -> tuple[Layout, Lines]:
    """Return the layout of an upload's rows, and its lines from where reading continues."""
    lines = Lines(stored_file.open_at(upload))
    header = read_header(lines)
    if upload.bytes_read:
        lines = Lines(stored_file.open_at(upload, upload.bytes_read), upload.bytes_read, upload.lines_read)
    return Layout(header, tuple(upload.columns)), lines
