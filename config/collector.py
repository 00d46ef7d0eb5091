"""Python's garbage collector in processes that live long.

What a process has loaded when it begins to work lives as long as the process: the collector need not look at it again,
and processes forked from this one go on sharing its pages. And work here makes many small objects that die young and
few cycles, so the collector looks less often. Together that was a sixth of the CPU time of recording events.
"""

import gc

THRESHOLDS = (20_000, 20, 100)


def settle() -> None:
    """Call once, when everything is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
