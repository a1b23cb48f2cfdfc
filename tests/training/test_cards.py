"""Model cards say what the numbers beside them say, and nothing else."""

from importlib.resources import files

import pytest

from specnb import storage
from specnb.denoising import networks
from specnb.training import cards, correction_card, denoiser, flow, models, profiles

ASSETS = files("specnb") / "assets"
DENOISERS = (*networks.SHIPPED, "spread")


def made(name):
    numbers = storage.read(ASSETS / f"{name}.json")
    if name in DENOISERS:
        return cards.denoiser(name, numbers, denoiser.N_TEST)
    others = {
        "labels": lambda: cards.flow(numbers, flow.N_TEST),
        "emulator": lambda: cards.emulator(numbers),
        "correction": lambda: correction_card.card(numbers),
    }
    return others[name]()


@pytest.mark.parametrize("name", [*DENOISERS, "labels", "emulator", "correction"])
def test_a_card_that_ships_is_what_its_numbers_render_to(name):
    assert made(name).markdown() == (ASSETS / f"{name}.md").read_text()


def test_every_card_that_ships_is_held_by_the_test_above():
    held = {*DENOISERS, "labels", "emulator", "correction"}
    assert {path.name.removesuffix(".md") for path in ASSETS.iterdir() if path.suffix == ".md"} == (
        held
    )


def test_the_parts_of_a_card_in_their_order():
    table = cards.Table(("a", "b"), [(1, 2), (3, 4)], "How:")
    text = cards.Card("Title", "About.", ["one", "two"], [table], "Last.").markdown()
    assert text == (
        "# Title\n\nAbout.\n\n- one\n- two\n\nHow:\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n"
        "\nLast.\n"
    )


def test_every_model_is_of_a_kind():
    assert models.KINDS.keys() == profiles.MODELS.keys()
    assert models.KINDS["labels"] is models.FLOW
    assert models.KINDS["bounded"] is models.DENOISER
