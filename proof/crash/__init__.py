"""Killed at any moment, and a disk that loses what it may lose: what was acknowledged is there, and nothing is half there."""
