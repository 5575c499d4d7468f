"""What every test run shares: how hard Hypothesis looks."""

from hypothesis import settings

# No deadline: on a machine that does something else besides, a slow example is no bug.
settings.register_profile("thorough", deadline=None)
settings.register_profile("quick", parent=settings.get_profile("thorough"), max_examples=25)
"""For `make test-unit`, which has to answer while one is still thinking of the change; `make test` looks four times as
hard (Hypothesis' own default of 100)."""
settings.load_profile("thorough")
