"""What a connection answers where no handler does: to requests that are not valid HTTP, or come too slowly."""

import re
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError, LineTooLong
from aiohttp.web_protocol import RequestPayloadError

HEADERS: Final = {
    "Docker-Distribution-API-Version": "registry/2.0",
    "Content-Type": "application/json",
    "Server": "Lading",
}
METHODS: Final = "DELETE, GET, HEAD, PATCH, POST, PUT"
# aiohttp quotes the line in its error: so a method that nobody knows is told from what is not HTTP at all
_REQUEST_LINE: Final = re.compile(r"""b['"][-!#$%&'*+.^_`|~0-9A-Za-z]+ [!-~]+ HTTP/1\.[01]['"]""")


class BodyTooSlow(Exception):
    """No byte of the body came for longer than the server waits."""

    def __init__(self) -> None:
        super().__init__("no byte of the body came for too long: send it again, or go on from the upload's offset")


def verdict(status: int, error: BaseException | None, *, longest_line: int) -> tuple[int, str]:
    """Status and message for what a parser raised; lines of a request have at most `longest_line` bytes."""
    match error:
        case BadHttpMethod() if _REQUEST_LINE.search(error.message):
            return HTTPStatus.METHOD_NOT_ALLOWED, f"the methods of this server are {METHODS}"
        case LineTooLong() if error.args[1] == longest_line:
            return HTTPStatus.REQUEST_URI_TOO_LONG, f"the request line is longer than {longest_line} bytes"
        case LineTooLong():
            message = f"a request header is longer than {longest_line} bytes"
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message
        case HttpProcessingError() | RequestPayloadError():
            return HTTPStatus.BAD_REQUEST, "the request is not valid HTTP"
    return status, HTTPStatus(status).phrase.lower()


def raw_answer(status: HTTPStatus, message: str) -> bytes:
    """The answer to a request that aiohttp knows nothing of."""
    body = document(message)
    headers = {**HEADERS, "Connection": "close", "Content-Length": str(len(body))}
    head = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*head, "", ""]).encode() + body


def document(message: str) -> bytes:
    """The error document of the OCI distribution specification, "Error Codes"."""
    return orjson.dumps({"errors": [{"code": "UNSUPPORTED", "message": message, "detail": None}]})
