"""Live through simulated lives of a cloud, with misfortune, and say which of them ended badly.

The whole control plane runs in one process under a virtual clock; users, faults and the order of events come from the
seed. A seed that finds something prints its history and replays alike:

    aerostat sim --seeds 1000            one line at the end
    aerostat sim --seeds 1 --from 4711   this life again

Ends with 1 if an invariant was violated. `docs/subsystems/simulation.md` tells more.
"""

import argparse
import os
import sys
import time
from collections import Counter

from aerostat.cli import CommandError

MOST_LINES = 120
MOST_STORIES = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="how many lives (default: 100)")
    parser.add_argument("--from", type=int, default=1, dest="first", metavar="K", help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, metavar="J", help="processes at once (default: 1)")
    parser.add_argument("--history", action="store_true", help="print the history of every life")
    parser.add_argument(
        "--digests", action="store_true", help="print a digest of each life, to compare two runs"
    )
    parser.add_argument("--plant", metavar="FAULT", help="break the program on purpose (for tests)")


def run(args: argparse.Namespace) -> int:
    if args.seeds < 1 or args.jobs < 1 or args.first < 0:
        raise CommandError("--seeds and --jobs count from 1, --from from 0", 2)
    _fix_hashes()
    from aerostat.testing import sim
    from aerostat.testing.sim.plants import PLANTS

    plant = None
    if args.plant is not None and (plant := PLANTS.get(args.plant)) is None:
        raise CommandError(f"no fault {args.plant}; there are {', '.join(PLANTS)}", 2)
    began_s = time.monotonic()
    faults: Counter[str] = Counter()
    lives = steps = bad = 0
    cpu_s = 0.0
    for outcome in sim.run(range(args.first, args.first + args.seeds), jobs=args.jobs, plant=plant):
        lives, steps, cpu_s = lives + 1, steps + outcome.steps, cpu_s + outcome.cpu_s
        faults.update(outcome.faults)
        if args.digests:
            print(f"seed {outcome.seed}: {outcome.digest}")
        if outcome.violations:
            bad += 1
            _tell(outcome, whole=args.history, story=bad <= MOST_STORIES)
        elif args.history:
            print(f"seed {outcome.seed}\n" + "\n".join(outcome.lines))
        if sys.stderr.isatty():
            print(f"\r{lives} of {args.seeds}, {bad} bad", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
    took = f"{time.monotonic() - began_s:.0f} s, {cpu_s / max(lives, 1):.2f} s of CPU each"
    told = "1 history" if lives == 1 else f"{lives} histories"
    print(f"{told}, {steps:,} steps, {faults.total():,} faults injected, {bad} with violations ({took})")
    return 1 if bad or lives < args.seeds else 0


def _tell(outcome: "object", *, whole: bool, story: bool) -> None:
    """A seed that found something: what, and how it came about."""
    from aerostat.testing.sim import Outcome

    assert isinstance(outcome, Outcome)
    count = len(outcome.violations)
    print(f"seed {outcome.seed}: {count} violation{'' if count == 1 else 's'}")
    for violation in outcome.violations:
        print(f"    {violation}")
    if story or whole:
        lines = outcome.lines if whole else outcome.lines[-MOST_LINES:]
        left_out = len(outcome.lines) - len(lines)
        if left_out:
            print(f"  … {left_out} earlier lines: --history shows them")
        print("\n".join("  " + line for line in lines))
    print(f"  again: aerostat sim --seeds 1 --from {outcome.seed}\n")


def _fix_hashes() -> None:
    """Sets of texts are walked in an order that a fresh random number decides, unless this is said at the start."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        words = sys.orig_argv[1:]
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *words], {**os.environ, "PYTHONHASHSEED": "0"})
