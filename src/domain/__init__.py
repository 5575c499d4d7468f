"""The decisions: pure functions from a command and a state to events, and from events to states."""
