"""A disk that is full, broken or slow, and a clock that is wrong, for a process that is told to load ``shim.c`` before the rest."""
