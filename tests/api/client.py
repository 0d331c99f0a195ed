"""A client of the API that checks every response: it must be an envelope that agrees with its status line."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import Account
from campaigns.models import Call, Campaign

CALLER_ID = "08047113311"
FLOW_URL = "http://my.exotel.com/acme/exoml/start_voice/29281"
NUMBERS = ["+919810012345", "+919810012346", "+919810012347"]


def campaign(**changes: Any) -> dict[str, Any]:
    """Return a valid campaign. `...` leaves a field out, and `numbers` is short for `from`."""
    body = {"from": NUMBERS, "caller_id": CALLER_ID, "url": FLOW_URL}
    if "numbers" in changes:
        body["from"] = changes.pop("numbers")
    return {name: value for name, value in (body | changes).items() if value is not ...}


def basic(user: str, token: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


def stored() -> tuple[int, int]:
    """Count the campaigns and the calls."""
    return Campaign.objects.count(), Call.objects.count()


@dataclass
class ApiResponse:
    status: int
    headers: Any
    envelope: Any

    @property
    def items(self) -> Any:
        return self.envelope["response"]

    @property
    def item(self) -> Any:
        if isinstance(self.items, dict):
            return self.items
        (item,) = self.items
        return item

    @property
    def codes(self) -> list[int]:
        """The status of every item."""
        return [item["code"] for item in self.items]

    @property
    def data(self) -> Any:
        assert self.item["code"] == 200, self.envelope
        return self.item["data"]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The data of every item of a list."""
        assert self.status == 200, self.envelope
        return [item["data"] for item in self.items]

    @property
    def description(self) -> Any:
        return self.item["error_data"]["description"]

    @property
    def metadata(self) -> Any:
        return self.envelope["metadata"]

    def is_refused(self, status: int, *words: str) -> bool:
        """Check that it is refused with this status and a sentence that has all of these words."""
        assert self.status == status, self.envelope
        assert [word for word in words if word not in self.description] == [], self.description
        return True


class Api:
    """A client that sends the requests of one account."""

    def __init__(self, account: Account, user: str, token: str) -> None:
        self.account = account
        self.headers = {"authorization": basic(user, token)}
        self.root = f"/v2/accounts/{account.sid}"
        # A fault of the server becomes a 500, as for a real client.
        self.http = Client(raise_request_exception=False)

    def send(
        self, method: str, path: str, body: Any = b"", *, content_type: str = "application/json", **options: Any
    ) -> ApiResponse:
        """Send a request.

        Args:
            path: below the account, or whole.
            body: sent unchanged if it is bytes, else as JSON.
        """
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {**self.headers, **options.pop("headers", {})}
        where = path if path.startswith("/v2") else self.root + path
        response = self.http.generic(method, where, raw, content_type, headers=headers, **options)
        if method == "HEAD":
            return ApiResponse(response.status_code, response.headers, {})
        return ApiResponse(response.status_code, response.headers, checked(method, response))

    def upload(self, content: bytes | str, **fields: Any) -> ApiResponse:
        """Upload a CSV file into the list of `list_name`. `...` leaves a part of the form out."""
        raw = content.encode() if isinstance(content, str) else content
        parts = {"list_name": "parents", "file_name": SimpleUploadedFile("parents.csv", raw)} | fields
        given = {name: value for name, value in parts.items() if value is not ...}
        response = self.http.post(f"{self.root}/contacts/csv-upload", given, headers=self.headers)
        return ApiResponse(response.status_code, response.headers, checked("POST", response))

    def get(self, path: str, **options: Any) -> ApiResponse:
        return self.send("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> ApiResponse:
        return self.send("POST", path, body, **options)

    def put(self, path: str, body: Any, **options: Any) -> ApiResponse:
        return self.send("PUT", path, body, **options)

    def delete(self, path: str, **options: Any) -> ApiResponse:
        return self.send("DELETE", path, **options)

    def create(self, **changes: Any) -> ApiResponse:
        return self.post("/campaigns", {"campaigns": [campaign(**changes)]})

    def change(self, row: Campaign, **fields: Any) -> ApiResponse:
        return self.put(f"/campaigns/{row.pk.hex}", {"campaigns": [fields]})


def checked(method: str, response: Any) -> Any:
    """Return the envelope of a response after checking what every envelope has."""
    assert response.headers["Content-Type"] == "application/json"
    envelope = json.loads(response.content)
    alone = isinstance(envelope["response"], dict)  # the responses to a CSV upload have one item and no array
    metadata = set() if alone and response.status_code == 200 else {"metadata"}
    assert set(envelope) == {"request_id", "method", "http_code", "response"} | metadata
    assert envelope["http_code"] == response.status_code
    assert envelope["method"] == method
    assert len(envelope["request_id"]) == 32
    for item in [envelope["response"]] if alone else envelope["response"]:
        code = item["code"] if response.status_code == 207 else response.status_code
        good = code == 200
        assert item["code"] == code
        assert item["status"] == ("success" if good else "failure")
        assert (item["error_data"] is None) is good
        if not good:
            assert item["data"] is None or code == 409
            assert set(item["error_data"]) == {"code", "message", "description"}
            assert looks_like_a_sentence(item["error_data"]["description"])
    return envelope


def looks_like_a_sentence(text: str) -> bool:
    """Tell whether the text is for a person and shows nothing of the inside of the program."""
    inside = (
        "Traceback",
        "Error(",
        "<class",
        "dictionary",
        "NoneType",
        "psycopg",
        "django",
        "rest_framework",
        ".py",
        "sys.",
    )
    return len(text.split()) >= 3 and not any(word in text for word in inside)
