"""What the scripts in perf/ share: a mount, a row of the benchmarks, and something that watches it."""
