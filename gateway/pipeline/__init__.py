"""Arrivals to sealed points: decode, admit, pseudonymise, seal. Pure functions over a batch: no waiting, no I/O."""
