"""One file per verb: each reads files and writes files, and imports no other verb."""
