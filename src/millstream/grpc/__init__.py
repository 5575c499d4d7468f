"""gRPC beside HTTP: an adapter over the same routes, decisions and steps, with nothing of its own to decide."""
