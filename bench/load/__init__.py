"""The load generator: a fleet of docks in one process. It measures what a server makes of them, and knows no server by name."""
