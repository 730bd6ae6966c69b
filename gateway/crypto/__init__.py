"""Formulas and byte layouts of docs/formats, over pyca/cryptography and the standard library. Only `keys` enters."""
