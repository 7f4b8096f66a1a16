"""The studio: a browser page over an engine that owns the device, the queue and the history."""

__version__ = "0.1.0"
