"""A disk that is full, read-only, slow or broken, and a database that is locked, gone or damaged, under a gateway that runs."""
