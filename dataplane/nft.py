"""nftables by libnftables' JSON interface (libnftables-json(5)): objects in, objects out, a transaction at a time."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Sequence
from typing import Any, Final

JSON_OUTPUT: Final = 1 << 4  # NFT_CTX_OUTPUT_JSON

Object = dict[str, Any]  # of one key: what it is


class NftError(OSError):
    """nftables refused a transaction, and nothing of it was done; the text is its own explanation."""


class Nftables:
    """The ruleset of the network namespace in which this was made. Not thread-safe."""

    def __init__(self) -> None:
        """Raises OSError without libnftables.so.1."""
        self._library = library = ctypes.CDLL("libnftables.so.1")
        library.nft_ctx_new.restype = ctypes.c_void_p
        for read in (library.nft_ctx_get_output_buffer, library.nft_ctx_get_error_buffer):
            read.restype = ctypes.c_char_p
        self._context = ctypes.c_void_p(library.nft_ctx_new(0))
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)
        library.nft_ctx_output_set_flags(self._context, JSON_OUTPUT)

    def close(self) -> None:
        self._library.nft_ctx_free(self._context)

    def run(self, commands: Sequence[Object]) -> list[Object]:
        """What the commands answer, all of them done or none. Raises NftError."""
        text = json.dumps({"nftables": commands}).encode()
        failed = self._library.nft_run_cmd_from_buffer(self._context, text)
        output = self._library.nft_ctx_get_output_buffer(self._context)  # reading empties it
        refusal = self._library.nft_ctx_get_error_buffer(self._context)
        if failed:
            raise NftError(" ".join(refusal.decode(errors="replace").split()))
        answered: list[Object] = json.loads(output)["nftables"] if output else []
        return answered
