"""`python -m tests.simulation --seeds 2000`: more seeds than a test run plays; `--tell SEED` prints one story."""

from __future__ import annotations

import argparse
import sys
import time
from multiprocessing import Pool

from tests.simulation.coverage import Totals
from tests.simulation.world import Outcome, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--start", type=int, default=0, help="the first")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--tell", type=int, metavar="SEED", help="print the story of one seed instead")
    asked = parser.parse_args()
    if asked.tell is not None:
        outcome = run(asked.tell, tell=True)
        print(*outcome.story, outcome.broken or "nothing broken", sep="\n")
        return 1 if outcome.broken else 0
    totals, took_s = Totals(), 0.0
    with Pool(asked.jobs) as pool:
        for outcome, seconds in pool.imap_unordered(_timed, range(asked.start, asked.start + asked.seeds)):
            totals.add(outcome)
            took_s += seconds
            if outcome.broken:
                print(f"seed {outcome.seed}: {outcome.broken}", flush=True)
    print(*totals.lines(), f"{took_s:.0f} s of processor time, {took_s / asked.seeds:.3f} s a seed", sep="\n")
    return 1 if totals.broken or totals.missing else 0


def _timed(seed: int) -> tuple[Outcome, float]:
    began = time.process_time()
    return run(seed), time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())
