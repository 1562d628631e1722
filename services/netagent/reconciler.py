"""Makes one node's kernel hold what placement says, and tells what the kernel holds. Knows no transport.

The same code runs on real drivers and on `dataplane.memory`, in simulations.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from dataplane.driver import Driver, DriverError
from dataplane.entries import Entry, Leg
from services.netagent import metrics, rows, wire
from services.netagent.admission import Held, Position, admit
from services.netagent.checkpoint import Checkpoint
from services.netagent.desired import Desired, RowKey, row_key
from services.netagent.render import held

UNWANTED = "unwanted"  # in a digest: rows that bear our mark and that nobody asked for
ROUNDS = 3  # of repair: a leg made anew takes its routes with it

Problem = tuple[str, str]  # code, message


class Reconciler:
    """One node's executor. Thread-safe: changes and comparisons wait for each other, `realized` never waits.

    Nothing that bears our mark and is not known is removed before a complete snapshot was taken by this process; a row
    that was wanted and no longer is, is removed at once. One bad entry does not stop the rest.
    """

    def __init__(self, node: UUID, drivers: Sequence[Driver[Any]], checkpoint: Checkpoint) -> None:
        """`drivers` in the order in which rows are put; they are dropped in the reverse order."""
        self._node = node
        self._drivers = drivers
        self._kinds = {driver.entry for driver in drivers}
        self._checkpoint = checkpoint
        self._lock = threading.Lock()
        self._desired = Desired()
        self._confirmed: dict[wire.EntryKey, bytes] = {}  # with the value that was read back
        self._digest = wire.Digest()
        self._failures: dict[wire.EntryKey, Problem] = {}
        self._leftovers: dict[RowKey, tuple[Entry, wire.EntryKey]] = {}  # to drop, as soon as their entry allows
        self._unwanted: set[RowKey] = set()
        self._seen: dict[RowKey, Entry] = {}  # by the last full read
        self._blind: dict[type[Any], Problem] = {}  # tables that could not be read
        self._complete = False
        stored = checkpoint.load()
        self._position = None if stored is None else stored.position
        if stored is not None:
            self._desired.change(stored.entries.values(), [])
        self._answer = self._summary()

    # --- orders and answers ------------------------------------------------------------------------------------------

    @metrics.ORDERS_REFUSED.count_exceptions()
    @metrics.RECONCILE_SECONDS.labels("apply").time()
    def apply(self, message: wire.Snapshot | wire.Delta) -> wire.Realized:
        """Take a snapshot or delta, make the kernel match, and answer what was read back of it.

        Raises what `admission.admit` raises, before anything is touched.
        """
        with self._lock:
            change = admit(self._node, self._position, self._held(), message)
            self._checkpoint.store(change)
            self._position = change.position
            touched = self._desired.change(change.puts.values(), change.removals)
            self._leftovers.update(touched.orphans)
            self._unwanted = {place for place in self._unwanted if not self._desired.holds(place)}
            if change.complete:
                self._complete = True
                self._compare()
                self._mend(ordered=True)
            else:
                named = [wire.EntryKey.of(entry) for entry in self._named(message)]
                self._apply(touched.entries | {key for key in named if key not in self._confirmed}, touched.rows)
            self._answer = self._summary()
            return self._answer

    def held(self) -> wire.Snapshot:
        """What this node was told to hold, with the sequences it announces addresses with."""
        with self._lock:
            position = self._position or Position(0, 0)
            entries = list(self._desired.entries.values())
            return wire.Snapshot(self._node, position.epoch, position.generation, entries)

    def realized(self) -> wire.Realized:
        """What the kernel was last read back to hold."""
        return self._answer

    def rows(self, ports: Collection[UUID], prefixes: Collection[wire.Prefix]) -> wire.Rows:
        """The rows of these ports and prefixes, as wanted and as the kernel holds them now; changes nothing."""
        with self._lock:
            places = rows.places(self._desired, self._kinds, ports, prefixes)
            seen = self._observe(place for place in places if place[0] not in rows.SCANNED)
            for driver in self._drivers:
                if driver.entry in rows.SCANNED:
                    read = self._read(driver, None)
                    seen |= {place: row for place, row in read.items() if rows.concerns(row, prefixes)}
            found = []
            for place in sorted(places | seen.keys(), key=repr):
                wanted = self._desired.row(place) if self._desired.holds(place) else None
                blind = self._blind.get(place[0])
                if wanted or place in seen:
                    found.append(rows.told(wanted, seen.get(place), blind[1] if blind else None))
            position = self._position or Position(0, 0)
            return wire.Rows(epoch=position.epoch, generation=position.generation, rows=found)

    @metrics.RECONCILE_SECONDS.labels("verify").time()
    def verify(self) -> bool:
        """Compare everything with the kernel and change nothing; whether something is not as wanted."""
        with self._lock:
            if self._position is None:
                return False
            self._compare()
            self._answer = self._summary()
            return bool(self._failures or self._unwanted or self._leftovers)

    @metrics.RECONCILE_SECONDS.labels("repair").time()
    def repair(self, *, tell: bool = True) -> None:
        """Put what is missing, and drop what is ours and not wanted, as far as it is known to be.

        A guest that another leg carries is left to it: it may have been started elsewhere while we were away. Only an
        order takes it.

        Unless we are to `tell`, `realized` goes on telling what was seen before, until the next read-back.
        """
        with self._lock:
            if self._position is None:
                return
            self._compare()
            self._mend(ordered=False)
            if tell:
                self._answer = self._summary()

    # --- a change ----------------------------------------------------------------------------------------------------

    def _held(self) -> Held:
        """What this node has: what it was told; if it was told nothing yet, or has lost that, what its kernel holds."""
        if self._position is not None:
            return self._desired.entries
        return dict.fromkeys(held(self._read_all().values()))

    @staticmethod
    def _named(message: wire.Snapshot | wire.Delta) -> list[wire.Entry]:
        return message.entries if isinstance(message, wire.Snapshot) else message.puts

    def _apply(self, touched: set[wire.EntryKey], changed: dict[RowKey, Entry]) -> None:
        """Put and read back the changed rows, and every row of an entry that was not confirmed before."""
        rows = dict(changed)
        concerned = touched | {owner for _, owner in self._leftovers.values()}
        for key in concerned:
            if key not in self._confirmed:
                rows |= {row_key(row): row for row in self._desired.rows(key)}
        seen = self._observe(rows)
        missing = [row for place, row in rows.items() if seen.get(place) != row]
        problems = self._put(missing, ordered=True)
        problems |= self._drop_leftovers(problems, concerned)
        seen |= self._observe([row_key(row) for row in missing])
        self._judge(concerned, seen, problems, rows.keys())

    def _put(self, rows: Iterable[Entry], *, ordered: bool) -> dict[RowKey, Problem]:
        by_kind: dict[type[Any], list[Entry]] = {}
        for row in rows:
            by_kind.setdefault(type(row), []).append(row)
        problems: dict[RowKey, Problem] = {}
        for kind in by_kind.keys() - self._kinds:
            for row in by_kind[kind]:
                problems[row_key(row)] = ("agent.entry.unsupported", f"a node of this role has no {kind.__name__}")
        for driver in self._drivers:
            for row in by_kind.get(driver.entry, []):
                put = replace(row, takes=ordered) if isinstance(row, Leg) else row
                self._attempt(driver.put, put, problems)
        return problems

    def _drop_leftovers(self, problems: dict[RowKey, Problem], of: set[wire.EntryKey]) -> dict[RowKey, Problem]:
        """Drop rows nobody wants any more, save those whose entry could not be put in its new form: add first."""
        stuck = {owner for place in problems for owner in self._desired.owners(place)}
        due = {place: row for place, (row, owner) in self._leftovers.items() if owner in of and owner not in stuck}
        return self._drop(due)

    def _drop(self, due: dict[RowKey, Entry]) -> dict[RowKey, Problem]:
        failed: dict[RowKey, Problem] = {}
        for place in [place for place in due if self._desired.holds(place)]:
            self._leftovers.pop(place, None)  # wanted again
            del due[place]
        for driver in reversed(self._drivers):
            for row in [row for row in due.values() if type(row) is driver.entry]:
                self._attempt(driver.drop, row, failed)
        still = self._observe(due)
        for place in due:
            if place not in failed and place[0] in self._blind:
                failed[place] = self._blind[place[0]]
            elif place not in failed and place in still:
                failed[place] = ("agent.entry.not_dropped", f"{place[1]} is still there")
            if place not in failed:
                self._leftovers.pop(place, None)
                self._unwanted.discard(place)
        return failed

    # --- the whole ---------------------------------------------------------------------------------------------------

    def _compare(self) -> None:
        """Judge every entry by a full read of every table."""
        seen = self._read_all()
        self._unwanted = {p for p in seen if not self._desired.holds(p) and p not in self._leftovers}
        gone = {place for place in self._leftovers if place not in seen and place[0] not in self._blind}
        for place in gone | {place for place in self._leftovers if self._desired.holds(place)}:
            del self._leftovers[place]
        self._seen = seen
        self._judge(set(self._desired.entries), seen, {})
        for key in [key for key in self._failures if key not in self._desired.entries]:
            del self._failures[key]
        self._judge({owner for _, owner in self._leftovers.values()}, seen, {})

    def _mend(self, *, ordered: bool) -> None:
        """Put, then drop, until a full read shows no difference that another round would change."""
        problems: dict[RowKey, Problem] = {}
        for _ in range(ROUNDS):
            wanted = {row_key(row) for key in self._desired.entries for row in self._desired.rows(key)}
            rows = [row for place in wanted if self._seen.get(place) != (row := self._desired.row(place))]
            missing = [row for row in rows if row_key(row) not in problems]
            unwanted = {p: self._seen[p] for p in self._unwanted if p not in problems} if self._complete else {}
            if not missing and not unwanted and not self._leftovers:
                break
            problems |= self._put(missing, ordered=ordered)
            problems |= self._drop_leftovers(problems, {owner for _, owner in self._leftovers.values()})
            problems |= self._drop(unwanted)
            self._compare()
            if not missing and not unwanted:
                break
        for place, problem in problems.items():
            for owner in self._owners_of(place):
                if owner in self._failures:
                    self._failures[owner] = problem

    # --- judgement ---------------------------------------------------------------------------------------------------

    def _judge(
        self,
        keys: Iterable[wire.EntryKey],
        seen: dict[RowKey, Entry],
        problems: dict[RowKey, Problem],
        scope: Collection[RowKey] | None = None,
    ) -> None:
        """Confirm an entry if every row of it was read back, and nothing of it is left that should be gone.

        With `scope`, only those rows were looked at; the others were confirmed before, and have not changed.
        """
        left: dict[wire.EntryKey, RowKey] = {owner: place for place, (_, owner) in self._leftovers.items()}
        for key in keys:
            problem = self._problem(key, seen, problems, scope)
            if problem is None and key in left:
                place = left[key]
                problem = problems.get(place, ("agent.entry.not_dropped", f"{place[1]} is still there"))
            if problem is None:
                self._failures.pop(key, None)
                if key in self._desired.entries:
                    self._confirm(key)
                else:
                    self._unconfirm(key)
            else:
                self._failures[key] = problem
                self._unconfirm(key)

    def _problem(
        self,
        key: wire.EntryKey,
        seen: dict[RowKey, Entry],
        problems: dict[RowKey, Problem],
        scope: Collection[RowKey] | None,
    ) -> Problem | None:
        if key in self._desired.unrenderable:
            error = self._desired.unrenderable[key]
            return (error.code, str(error))
        for row in self._desired.rows(key):
            place = row_key(row)
            if scope is not None and place not in scope:
                continue
            if place in problems:
                return problems[place]
            if place not in seen and place[0] in self._blind:
                return self._blind[place[0]]
            if seen.get(place) != row:
                kind = type(row).__name__
                return ("agent.entry.not_read_back", f"{kind} {place[1]}: wanted {row}, seen {seen.get(place)}")
        return None

    def _confirm(self, key: wire.EntryKey) -> None:
        value = self._desired.entries[key].value()
        if self._confirmed.get(key) != value:
            self._unconfirm(key)
            self._confirmed[key] = value
            self._digest.add(key.kind, key.key, value)

    def _unconfirm(self, key: wire.EntryKey) -> None:
        value = self._confirmed.pop(key, None)
        if value is not None:
            self._digest.remove(key.kind, key.key, value)

    def _owners_of(self, place: RowKey) -> list[wire.EntryKey]:
        if place in self._leftovers:
            return [self._leftovers[place][1]]
        return list(self._desired.owners(place))

    # --- drivers -----------------------------------------------------------------------------------------------------

    def _observe(self, places: Iterable[RowKey]) -> dict[RowKey, Entry]:
        """The rows of those keys, as they are now, at the cost of those rows alone."""
        by_kind: dict[type[Any], list[Hashable]] = {}
        for kind, key in places:
            by_kind.setdefault(kind, []).append(key)
        seen: dict[RowKey, Entry] = {}
        for driver in self._drivers:
            if driver.entry in by_kind:
                seen |= self._read(driver, by_kind[driver.entry])
        return seen

    def _read_all(self) -> dict[RowKey, Entry]:
        seen: dict[RowKey, Entry] = {}
        for driver in self._drivers:
            seen |= self._read(driver, None)
        return seen

    def _read(self, driver: Driver[Any], keys: list[Hashable] | None) -> dict[RowKey, Entry]:
        """What a table holds; nothing of it is confirmed while it cannot be read."""
        try:
            rows = driver.observe(keys)
        except DriverError as error:
            self._blind[driver.entry] = (error.code, str(error))
            return {}
        except OSError as error:
            self._blind[driver.entry] = ("agent.entry.unreadable", str(error))
            return {}
        self._blind.pop(driver.entry, None)
        return {(driver.entry, key): row for key, row in rows.items()}

    @staticmethod
    def _attempt(act: Callable[[Any], None], row: Entry, problems: dict[RowKey, Problem]) -> None:
        try:
            act(row)
        except DriverError as error:
            problems[row_key(row)] = (error.code, str(error))
        except OSError as error:
            problems[row_key(row)] = ("agent.entry.kernel", str(error))

    def _summary(self) -> wire.Realized:
        digest = self._digest.hex()
        if self._unwanted:
            digest[UNWANTED] = f"{len(self._unwanted):032x}"
        failed = [
            wire.Failure(kind=key.kind.name.lower(), key=key.key.hex(), code=code, message=message)
            for key, (code, message) in sorted(self._failures.items())
        ]
        position = self._position or Position(0, 0)
        return wire.Realized(epoch=position.epoch, generation=position.generation, digest=digest, failed=failed)
