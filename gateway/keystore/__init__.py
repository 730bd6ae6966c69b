"""The key store: one database, one transaction an act. Holds wrapped bytes and keyed hashes; knows no key."""
