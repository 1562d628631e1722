"""`python -m tests.simulation --seeds 2000`: more seeds than a test run plays; `--tell SEED` prints one story."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.coverage import Totals
from tests.simulation.world import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--start", type=int, default=0, help="the first")
    parser.add_argument("--tell", type=int, metavar="SEED", help="print the story of one seed instead")
    asked = parser.parse_args()
    if asked.tell is not None:
        outcome = run(asked.tell, tell=True)
        print(*outcome.story, outcome.broken or "nothing broken", sep="\n")
        return 1 if outcome.broken else 0
    totals, began = Totals(), time.process_time()
    for seed in range(asked.start, asked.start + asked.seeds):
        outcome = run(seed)
        totals.add(outcome)
        if outcome.broken:
            print(f"seed {seed}: {outcome.broken}", flush=True)
    print(*totals.lines(), f"{time.process_time() - began:.0f} s of one core", sep="\n")
    return 1 if totals.broken or totals.missing else 0


if __name__ == "__main__":
    sys.exit(main())
