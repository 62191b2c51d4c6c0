"""Plain files as worker threads read them."""

import os
from pathlib import Path

import pytest

from storage.blobs.file_reader import FileReader
from storage.errors import StoredBytesMissing, StoreUnavailable

CONTENT = bytes(range(251)) * 2_000


@pytest.fixture
def reader(tmp_path: Path) -> FileReader:
    (tmp_path / "file").write_bytes(CONTENT)
    return FileReader("key", os.open(tmp_path / "file", os.O_RDONLY))


def test_pieces_add_up_to_the_file(reader: FileReader) -> None:
    content = b""
    while len(content) < len(CONTENT):
        content += reader.read(len(content), len(CONTENT))

    assert content == CONTENT
    reader.close()


def test_nothing_past_the_end_is_read(reader: FileReader) -> None:
    assert bytes(reader.read(5, 8)) == CONTENT[5:8]
    reader.close()


def test_a_file_that_is_shorter_than_it_should_be_is_missing(reader: FileReader) -> None:
    with pytest.raises(StoredBytesMissing):
        reader.read(len(CONTENT), len(CONTENT) + 1)
    reader.close()


def test_a_file_that_cannot_be_read_is_trouble_of_the_store(tmp_path: Path) -> None:
    reader = FileReader("key", os.open(tmp_path, os.O_RDONLY))

    with pytest.raises(StoreUnavailable):
        reader.read(0, 1)
    reader.close()
