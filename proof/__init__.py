"""Proof under fire: what dockgate promises, shown by trying to break it. Nothing here is part of what is installed."""
