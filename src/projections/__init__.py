"""OUT: the facts folded into views, and the views told to whoever asks or watches."""
