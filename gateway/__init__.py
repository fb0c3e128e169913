"""dockgate: a self-hosted gateway for drone docks."""

__version__ = "0.1.0"
