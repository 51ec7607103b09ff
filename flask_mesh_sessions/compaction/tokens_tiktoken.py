"""Tokens counted with OpenAI's own vocabulary, where it is already on this machine.

tiktoken fetches a vocabulary it does not have. So it is only asked when its cache, which
``TIKTOKEN_CACHE_DIR`` names, holds the very file.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import logging
import os
import typing as t
from pathlib import Path

ENCODING = "o200k_base"

#: What tiktoken calls its copy of the vocabulary, and what that must hold.
_FILE = "fb374d419588a4632f3f557e76b4b70aebbca790"
_SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"

_log = logging.getLogger(__name__)


@functools.cache
def counter() -> t.Callable[[str], int] | None:
    """What counts a text's tokens exactly, or ``None`` without the package or its file."""
    if not _is_cached(os.environ.get("TIKTOKEN_CACHE_DIR", "")):
        return None
    try:
        encoding = importlib.import_module("tiktoken").get_encoding(ENCODING)
    except Exception as error:  # an optional package: whatever is wrong with it, we estimate
        _log.warning("tiktoken is not used: %s", error)
        return None

    def count(text: str) -> int:
        return len(encoding.encode_ordinary(text))

    return count


def _is_cached(folder: str) -> bool:
    """Whether the file is there and whole: tiktoken fetches a damaged one anew."""
    if not folder:
        return False
    try:
        content = Path(folder, _FILE).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content).hexdigest() == _SHA256
