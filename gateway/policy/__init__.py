"""What may be processed, for what, and for how long: the privacy policy as one frozen tree and pure functions of it."""
