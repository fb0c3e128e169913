"""The admin HTTP: health, metrics, a JSON API and what the console stands on, in the gateway's own event loop.

HTTP comes in; what ``gateway.operations`` and the running gateway know goes out. It must never hold up a dock: whatever is
large, slow or bounded by strangers is bounded here, or done off the event loop.
"""
