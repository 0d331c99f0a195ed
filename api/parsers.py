"""Request bodies: JSON whatever their content type says, as curl labels a body without a header as a form."""

import codecs
import json
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser


class BodyTooLarge(APIException):
    status_code = 413


class BoundedJSONParser(BaseParser):
    """Reads no more than MAX_REQUEST_BYTES, and refuses text that PostgreSQL can't store (NUL, lone surrogates)."""

    media_type = "*/*"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        body = stream.read(settings.MAX_REQUEST_BYTES + 1)
        if len(body) > settings.MAX_REQUEST_BYTES:
            raise BodyTooLarge(
                f"the body is larger than {settings.MAX_REQUEST_BYTES:,} bytes: send fewer numbers in one request"
            )
        try:
            data = json.loads(body.removeprefix(codecs.BOM_UTF8).decode(), parse_constant=_refuse)
            if b"\\u" in body:
                _check_text(json.dumps(data, ensure_ascii=False))
        except RecursionError as error:
            raise ParseError("the body nests too deeply") from error
        except UnicodeError as error:
            raise ParseError("the body is not valid UTF-8 text: encode it as UTF-8") from error
        except ValueError as error:
            raise ParseError(f"the body is not valid JSON: {error}") from error
        return data


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _check_text(text: str) -> None:
    text.encode()
    if "\\u0000" in text:
        raise ValueError("a text holds a NUL character (\\u0000): leave it out")
