"""The encoding of a text file, where it is certain, and its text as UTF-8 lines that end in LF."""

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from contacts.csv_uploads.byte_stream import stream_of

# What is read and converted at once.
_PIECE = 1024 * 1024
# The beginning that shows whether every other byte is NUL.
_SAMPLE = 4096

# Regions whose Windows does not use code page 1252 for text that is not Unicode, by code page. Sources: the table of
# fallback encodings by language in the HTML standard (13.2.3.2), and Microsoft's default ANSI code page of each locale
# (LOCALE_IDEFAULTANSICODEPAGE), for the regions where these languages are official.
_OTHER_CODE_PAGES = {
    "874": "TH",
    "932": "JP",
    "936": "CN SG",
    "949": "KP KR",
    "950": "HK MO TW",
    "1250": "AL BA CZ HR HU ME PL RO SI SK TM XK",
    "1251": "AM BG BY KG KZ MD MK MN RS RU TJ UA",
    "1253": "CY GR",
    "1254": "AZ TR UZ",
    "1255": "IL",
    "1256": "AE AF BH DJ DZ EG ER IQ IR JO KW LB LY MA MR OM PK PS QA SA SD SO SY TD TN YE",
    "1257": "EE LT LV",
    "1258": "VN",
}
_NOT_1252 = frozenset(region for regions in _OTHER_CODE_PAGES.values() for region in regions.split())
# Ð, Þ, Ý and their small letters are written there; elsewhere the bytes are more likely Turkish Ğ, Ş and İ.
_WITH_THORN = frozenset({"FO", "IS"})

_BYTE_ORDER_MARKS = (
    # The first two begin like the marks of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# A character of two, three or four bytes. It begins so that the search skips ASCII.
_VALID_UTF8 = re.compile(
    rb"[\xc2-\xf4][\x80-\xbf](?:(?<=[\xc2-\xdf].)|(?<=[\xe0-\xef].)[\x80-\xbf]|(?<=[\xf0-\xf4].)[\x80-\xbf]{2})",
    re.DOTALL,
)

# What no name in Western Europe holds in code page 1252, though the same bytes are letters in other encodings (Mac
# Roman, the code pages of DOS, 1250, 1251, Shift JIS and others). Each pattern looks back at a byte above 127, so that
# the search skips all others.
_LETTER = rb"[A-Za-z\xc0-\xff]"
_NOT_IN_1252 = re.compile(
    rb"[\x80-\xff](?:"
    + rb"|".join(
        [
            rb"(?<=[\x82-\x84\x86-\x8c\x8e\x98\x9a-\x9c\x9e\x9f])",  # signs of their own, or rare ones
            rb"(?<=[\x80\x85\x94-\x97\x99-\xbf])(?=" + _LETTER + rb")",  # a sign before a letter
            rb"(?<=" + _LETTER + rb"[\x80\x91\x93\x95-\x97\xa0-\xa9\xab-\xaf\xb1-\xb9\xbb-\xbf])",  # or after one
            # An apostrophe that is not as in O'Brien or Asha's.
            rb"(?<=" + _LETTER + rb"\x92)(?![A-Z\xc0-\xde]|s(?![A-Za-z]))",
            rb"(?<=[\xd7\xf7])",  # signs for times and divided by
            rb"(?<=[a-z][\xc0-\xde])|(?<=[A-Z][\xc0-\xde])(?=[a-z])",  # a capital inside a word
            rb"(?<![A-Za-z\xc0-\xff].)(?<=[\xdf-\xff])(?=[A-Z])",  # a small letter before a capital
            rb"(?<=[\xc0-\xff])[\xc0-\xff]{2}",  # words of such letters only
            rb"(?<![A-Za-z\xc0-\xff].)(?<=[\xc0-\xff])[\xc0-\xff](?![A-Za-z\xc0-\xff])",
        ]
    )
    + rb")",
    re.DOTALL,
)
# So many bytes above 127 are looked at one by one. What they say of the encoding, millions more would not change.
_ENOUGH = 200_000
_ASCII = bytes(range(128))
_UNDEFINED = b"\x81\x8d\x8f\x90\x9d"
_THORN = re.compile(rb"[\xd0\xdd\xde\xf0\xfd\xfe]")
# A letter or a sign that is where it is usual: something must show that it is code page 1252.
_IN_1252 = re.compile(
    rb"[A-Za-z][\xc0-\xff]|[\xc0-\xff][A-Za-z]|[\x91-\x94][ +(0-9A-Z,;\t\r\n\"]|\x80 ?[0-9]|[0-9] ?\x80"
)


@dataclass(frozen=True)
class Encoding:
    """A codec, and what becomes of bytes that it can't decode."""

    codec: str
    errors: str


UTF_8 = Encoding("utf-8-sig", "surrogateescape")
_CP1252 = Encoding("cp1252", "strict")


def detect(file: IO[bytes], region: str) -> Encoding:
    """Return the file's encoding: UTF-8 unless another one is certain. Reads to the end, a piece at a time.

    Args:
        file: a text file, seekable.
        region: the two letters of the country where it was probably saved.
    """
    file.seek(0)
    start = file.read(_SAMPLE)
    for mark, codec in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return Encoding(codec, _BROKEN)
    if start.startswith(codecs.BOM_UTF8):
        return UTF_8
    if codec := _utf16_without_mark(start):
        return Encoding(codec, _BROKEN)
    if region not in _NOT_1252 and not _is_utf8(file) and _is_cp1252(file, region):
        return _CP1252
    return UTF_8


def open_as_utf8(file: IO[bytes], encoding: Encoding) -> IO[bytes]:
    """Return the text in UTF-8, without a byte-order mark, with LF at the end of each line.

    Bytes that are invalid stay invalid: the row that holds them is rejected, and the others are loaded.
    """
    return stream_of(_converted(file, encoding))


def _converted(file: IO[bytes], encoding: Encoding) -> Iterator[bytes]:
    decoder = io.IncrementalNewlineDecoder(
        codecs.getincrementaldecoder(encoding.codec)(encoding.errors), translate=True
    )
    errors = "surrogateescape" if encoding is UTF_8 else "surrogatepass"
    file.seek(0)
    while piece := file.read(_PIECE):
        yield decoder.decode(piece).encode(errors=errors)
    yield decoder.decode(b"", final=True).encode(errors=errors)


def _utf16_without_mark(start: bytes) -> str:
    """Return the codec of a text whose every other byte is NUL, as it is for digits and Latin letters."""
    first, second = start[0::2].count(0), start[1::2].count(0)
    enough = len(start) // 8
    if second > enough and first * 20 < second:
        return "utf-16-le"
    if first > enough and second * 20 < first:
        return "utf-16-be"
    return ""


def _is_utf8(file: IO[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    file.seek(0)
    try:
        while piece := file.read(_PIECE):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _is_cp1252(file: IO[bytes], region: str) -> bool:
    """Tell whether a file that is not UTF-8 is code page 1252: something speaks for it, and nothing against it."""
    has_evidence = False
    seen = 0
    file.seek(0)
    while piece := file.read(_PIECE):
        piece += file.readline(_SAMPLE)  # so that no word is cut
        if piece.isascii():
            continue
        if _VALID_UTF8.search(piece) or piece.translate(None, _UNDEFINED) != piece:
            return False
        if seen > _ENOUGH:
            continue
        if _NOT_IN_1252.search(piece) or (region not in _WITH_THORN and _THORN.search(piece)):
            return False
        has_evidence = has_evidence or _IN_1252.search(piece) is not None
        seen += len(piece.translate(None, _ASCII))
    return has_evidence


def _keep_broken(error: UnicodeError) -> tuple[str, int]:
    """Decode what is no character, such as half of a pair or the half of one at the end, to half a pair."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udfff", error.end


_BROKEN = "csv-broken"
codecs.register_error(_BROKEN, _keep_broken)
