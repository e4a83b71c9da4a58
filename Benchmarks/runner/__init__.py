"""The benchmark runner: systems to measure, suites to run on them, and reports of what came out.

It never judges a figure by itself: it alternates the systems, checks what they return, counts what the
store and the processes did meanwhile, and writes all of it down. Python's standard library only.

1. Nothing is stopped that was not started here, and everything that was started here is stopped.
2. A system that returns wrong data, or fails, has no figure in that row.
3. Every system of a run is measured in the same rounds, in turn, with the same sizes.
"""
