"""The only room that sees key bytes. Everyone else gets a handle that can do things, and cannot say what it is."""
