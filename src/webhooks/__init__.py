"""News for programs elsewhere: who subscribed, what is sent to them, when, how often, and what became of it."""
