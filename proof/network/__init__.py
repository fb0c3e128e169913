"""The network side: a gateway of its own process, attackers down to the single byte, and a dock that has to be served meanwhile."""
