"""Controller workers: generators that stop at every commit and every call, where others run and where they may die."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from common.errors import DomainError
from tests.simulation.engine import Engine

Task = Generator[Any, Any, Any]
Answer = Callable[[Any, DomainError | None], None]


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction ends here. What was written stays, whatever happens to the worker."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request over the network. `send` is given what to do with the answer, and sees to it that one comes."""

    send: Callable[[Answer], None]


@dataclass(frozen=True, slots=True)
class Gather:
    """Several tasks at the same time; answered by the list of their results."""

    tasks: list[Task]


@dataclass(slots=True)
class Worker:
    """A process that runs one task; its parts die with it."""

    name: str
    dead: bool = False


@dataclass
class Workers:
    """Runs tasks. `crash_commits`: so many of the next commits are the last thing their worker does."""

    engine: Engine
    crash_commits: int = 0
    crash_share: float = 0.0
    crashes: int = 0

    def start(self, name: str, task: Task) -> None:
        self._resume(Worker(name), task, lambda _: None)

    def _resume(
        self,
        worker: Worker,
        task: Task,
        done: Callable[[Any], None],
        value: Any = None,
        error: DomainError | None = None,
    ) -> None:
        if worker.dead:
            return
        try:
            wish = task.throw(error) if error is not None else task.send(value)
        except StopIteration as stop:
            done(stop.value)
            return
        except DomainError as refused:  # as the task's wrapper does: the sweep takes it up again
            self.engine.note(f"{worker.name} deferred: {refused.code}")
            worker.dead = True
            return
        match wish:
            case Commit():
                self._commit(worker, task, done)
            case Call():
                wish.send(self._once(worker, task, done))
            case Gather():
                self._gather(worker, task, done, wish.tasks)

    def _commit(self, worker: Worker, task: Task, done: Callable[[Any], None]) -> None:
        chance = self.engine.random.random()
        if self.crash_commits or chance < self.crash_share:
            self.crash_commits = max(0, self.crash_commits - 1)
            self.crashes += 1
            worker.dead = True
            self.engine.note(f"{worker.name} dies after a commit")
            return
        self.engine.soon(f"{worker.name} goes on", lambda: self._resume(worker, task, done), 0.004)

    def _once(self, worker: Worker, task: Task, done: Callable[[Any], None]) -> Answer:
        """What to do with the first answer: later ones, of a message that came twice, find nobody waiting."""
        waiting = [True]

        def answer(value: Any, error: DomainError | None) -> None:
            if waiting:
                waiting.clear()
                self._resume(worker, task, done, value, error)

        return answer

    def _gather(self, worker: Worker, task: Task, done: Callable[[Any], None], parts: list[Task]) -> None:
        results: list[Any] = [None] * len(parts)
        left = [len(parts)]

        def finished(number: int) -> Callable[[Any], None]:
            def finish(value: Any) -> None:
                results[number] = value
                left[0] -= 1
                if left[0] == 0 and not worker.dead:
                    self._resume(worker, task, done, results)

            return finish

        if not parts:
            self._resume(worker, task, done, results)
        for number, part in enumerate(parts):
            self._resume(worker, part, finished(number))
