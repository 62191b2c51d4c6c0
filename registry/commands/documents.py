"""Policy documents in files, as commands read them."""

import argparse
import sys
from pathlib import Path
from typing import Final

STANDARD_INPUT: Final = "-"


def add_file(parser: argparse.ArgumentParser) -> None:
    """Declare the file that a document is read from."""
    parser.add_argument("--file", metavar="FILE", required=True, help="the document, JSON; - is standard input")


def read_document(file: str) -> str:
    """The text of a document; raises OSError, also for one that is not UTF-8."""
    try:
        return sys.stdin.read() if file == STANDARD_INPUT else Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise OSError(f"{file} is not UTF-8 text: save it as such") from error
