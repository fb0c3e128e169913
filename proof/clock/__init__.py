"""A wall clock that steps by hours, that nobody has ever set, that takes a second back: nothing ends or is locked for that."""
