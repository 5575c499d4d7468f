"""The connection: what is judged in front of the parser, and how long a client is waited for."""
