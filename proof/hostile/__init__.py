"""Bytes that nobody would send: a hundred million of them for everything that reads what anybody can send (tests/fuzz)."""
