"""What every test run shares: how hard Hypothesis looks."""

from hypothesis import settings

settings.register_profile("quick", max_examples=25)
"""For `make test-unit`, which has to answer while one is still thinking of the change; `make test` looks four times as
hard (Hypothesis' own default of 100)."""
