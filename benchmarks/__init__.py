"""Benchmarks: micro (pytest-benchmark), and the end-to-end rig with the peers the gateway is compared with."""
