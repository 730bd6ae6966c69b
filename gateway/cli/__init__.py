"""The command line: words in, one screen or one JSON object out, and an exit code that scripts can rely on."""
