from __future__ import annotations

import threading

import pytest

from services.placement.once import Once


def test_asked_for_while_it_is_done_it_is_done_once_more_by_the_same_thread() -> None:
    begun, go_on, done_by = threading.Event(), threading.Event(), list[str]()

    def work(name: str) -> None:
        done_by.append(threading.current_thread().name)
        begun.set()
        assert go_on.wait(10), name

    once = Once(work)
    first = threading.Thread(target=once.do, args=("wave",), name="first")
    first.start()
    assert begun.wait(10)
    for _ in range(3):
        once.do("wave")
    assert done_by == ["first"]
    go_on.set()
    first.join(10)
    assert done_by == ["first", "first"]


def test_what_failed_is_done_when_it_is_asked_for_again() -> None:
    tries = list[str]()

    def work(name: str) -> None:
        tries.append(name)
        if len(tries) == 1:
            raise ConnectionError

    once = Once(work)
    with pytest.raises(ConnectionError):
        once.do("wave")
    once.do("wave")
    assert tries == ["wave", "wave"]


def test_different_names_do_not_wait_for_each_other() -> None:
    done = list[str]()

    def work(name: str) -> None:
        done.append(name)
        if name == "one":
            once.do("other")

    once = Once(work)
    once.do("one")
    assert done == ["one", "other"]
