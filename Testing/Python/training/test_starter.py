"""The starter that is shipped does what its card says, on phantoms that nobody trains on."""

import pytest

from DGSTSegmentLib.networks.catalogue import STARTER, starter_path
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.training.pretrain import unseen_dice


def test_the_starter_says_wherever_it_is_named_that_it_is_a_demonstration():
    card = open_model(STARTER).card
    assert card.demonstration and "demonstration, trained on phantoms" in card.title
    assert sum(path.stat().st_size for path in starter_path().iterdir()) <= 8_000_000


@pytest.mark.parametrize(("domain", "low", "high"), [("source", 0.8, 1.0), ("target", 0.3, 0.6)])
def test_the_starter_knows_its_own_domain_and_less_of_the_target(domain, low, high):
    """Two scans here; the card tells the mean over twenty, which must lie in the same range."""
    said = open_model(STARTER).card.measured[f"mean Dice on 20 unseen {domain} phantoms"]
    assert low <= said <= high
    assert unseen_dice(starter_path(), domain, count=2) == pytest.approx(said, abs=0.15)
