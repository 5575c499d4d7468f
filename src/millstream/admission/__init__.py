"""Who gets in, how fast, and how much: API keys, scopes and bindings, rate limits, back-pressure."""
