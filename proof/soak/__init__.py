"""Hours of ordinary traffic, and whether anything grows, is lost, comes twice or becomes slower."""
