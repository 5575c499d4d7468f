"""One kind of fault alone, far more often than in any drawn world."""

from typing import Final

import pytest

from tests.simulation.climate import Climate
from tests.simulation.run import run

EXTREMES: Final = {
    "refused": Climate(refused=0.4),
    "lost": Climate(lost=0.4),
    "late": Climate(late=0.3),
    "slow": Climate(slow=0.2),
    "full": Climate(full=0.4),
    "killed": Climate(kill_every_s=0.4),
    "frozen": Climate(freeze_every_s=0.4),
    "drained": Climate(drain_every_s=0.5),
    "away": Climate(outage_every_s=0.7),
    "meddled": Climate(meddle_every_s=0.03),
    "rebuilt": Climate(rebuild_every_s=0.5, kill_every_s=3.0),
    "skewed": Climate(skew_s=10.0, kill_every_s=3.0),
    "hanging": Climate(parser_hangs=0.5, freeze_every_s=3.0),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("extreme", EXTREMES)
def test_a_world_outlives_it(extreme: str, seed: int) -> None:
    report = run(seed, climate=EXTREMES[extreme])
    assert report.documents > 0
