"""How bad a world is: which faults happen in it and how often, drawn from the seed.

Each kind of fault is switched off in some worlds: a fault that is always there hides what others would show.
"""

from random import Random

import msgspec


class Climate(msgspec.Struct, frozen=True, kw_only=True):
    """Rates of calls (0 to 1), and mean seconds between the deeds of the nemesis (0: it never does that)."""

    refused: float = 0.0
    """The store refuses; nothing took effect."""
    lost: float = 0.0
    """It took effect, and the reply is lost."""
    late: float = 0.0
    """The caller gives up, and then it takes effect."""
    slow: float = 0.0
    """The call takes seconds."""
    full: float = 0.0
    """No room; nothing took effect."""
    parser_crashes: float = 0.0
    parser_hangs: float = 0.0
    provider_fails: float = 0.0
    provider_refuses: float = 0.0
    broken_files: float = 0.0
    kill_every_s: float = 0.0
    freeze_every_s: float = 0.0
    drain_every_s: float = 0.0
    outage_every_s: float = 0.0
    meddle_every_s: float = 0.0
    """Deliveries are given to somebody else early, come twice, come in another order."""
    rebuild_every_s: float = 0.0
    skew_s: float = 0.0
    """The clocks of processes differ by up to this."""
    origin_fails: float = 0.0
    origin_refuses: float = 0.0
    origin_hangs: float = 0.0


CALM = Climate()


def draw(rng: Random) -> Climate:
    """A climate of its own for each world."""

    def rate(most: float, often: float = 0.6) -> float:
        return rng.uniform(0.2, 1.0) * most if rng.random() < often else 0.0

    def every(least_s: float, most_s: float, often: float = 0.6) -> float:
        return rng.uniform(least_s, most_s) if rng.random() < often else 0.0

    return Climate(
        refused=rate(0.06),
        lost=rate(0.06),
        late=rate(0.03),
        slow=rate(0.02),
        full=rate(0.02, 0.3),
        parser_crashes=rate(0.2),
        parser_hangs=rate(0.05, 0.3),
        provider_fails=rate(0.25),
        provider_refuses=rate(0.05, 0.3),
        broken_files=rate(0.2, 0.4),
        kill_every_s=every(1.0, 5.0),
        freeze_every_s=every(1.0, 5.0),
        drain_every_s=every(2.0, 8.0, 0.4),
        outage_every_s=every(3.0, 8.0, 0.4),
        meddle_every_s=every(0.2, 2.0, 0.5),
        rebuild_every_s=every(3.0, 8.0, 0.3),
        skew_s=rate(1.5, 0.5),
        origin_fails=rate(0.3),
        origin_refuses=rate(0.1, 0.3),
        origin_hangs=rate(0.05, 0.3),
    )
