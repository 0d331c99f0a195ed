"""A bucket on loopback that speaks as much of S3 as django-storages asks for, over the real wire."""

import re
import threading
import uuid
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

ACCESS_KEY = "an-access-key"


class Bucket:
    """Objects by key.

    requests: method and key of each, parts of an object included. is_away: it responds 503, and does nothing.
    """

    name = "recordings"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.is_away = False
        self._uploads: dict[str, dict[int, bytes]] = {}
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def handle_one(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("X-Amz-Decoded-Content-Length"):
                    sent = _without_chunks(sent)
                is_known = f"Credential={ACCESS_KEY}/" in (self.headers.get("Authorization") or "")
                if bucket.is_away:
                    status, body = 503, b""
                else:
                    status, body = bucket.respond(self.command, self.path, sent) if is_known else (403, b"")
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("ETag", f'"{md5(sent or body).hexdigest()}"')
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_one  # noqa: N815 -- the names that http.server calls

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def respond(self, method: str, path: str, sent: bytes) -> tuple[int, bytes]:
        address = urlsplit(path)
        query = parse_qs(address.query, keep_blank_values=True)
        key = unquote(address.path).removeprefix(f"/{self.name}/")
        self.requests.append((method, key))
        if method == "POST" and "uploads" in query:
            self._uploads[made := uuid.uuid4().hex] = {}
            return 200, _xml("InitiateMultipartUploadResult", Bucket=self.name, Key=key, UploadId=made)
        if method == "POST":
            parts = self._uploads.pop(query["uploadId"][0])
            self.objects[key] = b"".join(parts[number] for number in sorted(parts))
            return 200, _xml("CompleteMultipartUploadResult", Key=key, ETag="whole")
        if "uploadId" in query:
            self._uploads[query["uploadId"][0]][int(query["partNumber"][0])] = sent
            return 200, b""
        if method == "PUT":
            self.objects[key] = sent
            return 200, b""
        if method == "DELETE":
            self.objects.pop(key, None)
            return 204, b""
        return (200, self.objects[key]) if key in self.objects else (404, b"")

    def __enter__(self) -> "Bucket":
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _without_chunks(sent: bytes) -> bytes:
    """Read a body that is `aws-chunked`: each piece is preceded by its length, and a checksum may follow."""
    read, at = b"", 0
    while (head := re.compile(rb"([0-9a-f]+)[^\r]*\r\n").match(sent, at)) and (length := int(head[1], 16)):
        read += sent[head.end() : head.end() + length]
        at = head.end() + length + 2
    return read


def _xml(name: str, **fields: str) -> bytes:
    inner = "".join(f"<{field}>{value}</{field}>" for field, value in fields.items())
    return f'<?xml version="1.0"?><{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</{name}>'.encode()
