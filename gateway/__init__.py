"""Glömska: a telemetry gateway that can forget.

A customer is a key; everything else is ciphertext or statistics. Read `pipeline.chain` for the way of a reading,
`keys.handle` for what a key can do, and `control.erasure` for how it ends.
"""
