"""Readings from before the gateway, as deliveries of the same shape as a broker's.

    pages = MeterFiles(mapping, paths).pages(position)
    worker = Worker(Playback(pages, …), …)          # decode, admit, seal, refusals and counts are those of `run`

`mapping` says which column is what, `translate` makes a flat message of a row, `meterfile` and `influx` read a kind of
source each, and `playback` is the session that the worker receives from. A row is never judged here: what cannot be
read is handed on as it cannot be read, so that it is refused and counted where all readings are.
"""
