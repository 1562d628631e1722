"""Long polls: an operation now, or as soon as it is final."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated

from fastapi import Query, Response
from starlette.concurrency import run_in_threadpool

from common.operations import Operation
from common.web.calls import resource

LONGEST_WAIT_S = 30
STEP_S = 0.05

WaitSeconds = Annotated[
    float, Query(ge=0, le=LONGEST_WAIT_S, description="Answer when it is final, or after this long.")
]


async def when_final(read: Callable[[], Operation], wait_s: float) -> Response:
    """What `read` finds, once it is final or after `wait_s`. Waiting holds neither a thread nor a connection."""
    until = time.monotonic() + wait_s
    while True:
        found = await run_in_threadpool(read)
        left_s = until - time.monotonic()
        if found.state.final or left_s <= 0:
            return resource(found)
        await asyncio.sleep(min(STEP_S, left_s))
