"""Acts on keys and people: enrolment, erasure, access, and the ledger they are written in."""
