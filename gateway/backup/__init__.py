"""Backups: an installation goes into one checked file, and comes out of it whole or not at all.

The rooms above hand over a configuration, paths and the time. Nothing here knows a terminal; SQLite and X.509 stay in their
own rooms.
"""
