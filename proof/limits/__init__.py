"""More and more, until something gives; and how it gives way."""
