"""Lists: a page from a key on, in a stable order, without totals."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel

from common.errors import Invalid
from common.wire import Answer

T = TypeVar("T", bound=BaseModel)


class InvalidCursor(Invalid):
    """The cursor was not made by this list."""

    code = "request.cursor"


class Page(Answer, Generic[T]):
    """A part of a list, in a stable order. `next_cursor` is null on the last page."""

    items: list[T]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Paging:
    """Where a page starts (the key after which) and how long it may be."""

    limit: int
    after: list[str] | None

    def key(self, *parts: Callable[[str], Any]) -> tuple[Any, ...] | None:
        """`after` with each part converted; None on the first page. Raises InvalidCursor."""
        if self.after is None:
            return None
        try:
            return tuple(convert(text) for convert, text in zip(parts, self.after, strict=True))
        except ValueError as error:
            raise InvalidCursor("the cursor was not made by this list") from error

    def page(self, items: list[T], key: Callable[[T], list[str]]) -> Page[T]:
        """A page of `items`, of which one more than `limit` were asked for; `key` is what the list is ordered by."""
        if len(items) <= self.limit:
            return Page(items=items)
        shown = items[: self.limit]
        cursor = base64.urlsafe_b64encode(json.dumps(key(shown[-1])).encode()).decode()
        return Page(items=shown, next_cursor=cursor)


def paging(
    limit: Annotated[int, Query(ge=1, le=500, description="How many items at most.")] = 100,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Paging:
    if cursor is None:
        return Paging(limit, None)
    try:
        after = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, RecursionError) as error:
        raise InvalidCursor("the cursor was not made by this list") from error
    if not isinstance(after, list) or not all(isinstance(part, str) for part in after):
        raise InvalidCursor("the cursor was not made by this list")
    return Paging(limit, after)


PagingDep = Annotated[Paging, Depends(paging)]
