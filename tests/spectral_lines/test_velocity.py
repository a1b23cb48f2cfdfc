"""Velocities of spectra that were shifted by hand."""

import numpy as np
import pytest
import torch

from specnb.grid import SPEED_OF_LIGHT
from specnb.spectral_lines import velocity
from specnb.world.fit import default_world

LABELS = np.array([[5800.0, 4.2, -0.2, 0.1], [4800.0, 2.5, -1.0, 0.3]])


@pytest.fixture(scope="module")
def templates():
    return velocity.template(LABELS)


@pytest.mark.parametrize("pixels", [-4, -1, 0, 3])
def test_whole_pixels(templates, pixels):
    found = velocity.correlate(np.roll(templates, pixels, axis=1), templates)
    right = SPEED_OF_LIGHT * (10 ** (pixels * 1e-4) - 1)
    assert found == pytest.approx([right, right], abs=0.6)  # the taper stays where it is


def test_fractions_of_a_pixel(templates):
    for rv in (-137.0, 21.0):
        labels = torch.tensor(np.column_stack([LABELS, [rv, rv], [0, 0]]), dtype=torch.float32)
        shifted = default_world().emulated(labels).numpy()
        assert velocity.correlate(shifted, templates) == pytest.approx([rv, rv], abs=0.6)


def test_bad_pixels_do_not_count(templates):
    flux, ivar = templates.copy(), np.ones_like(templates)
    flux[:, 1500:1510] = 50.0
    ivar[:, 1500:1510] = 0
    assert velocity.correlate(flux, templates, ivar) == pytest.approx([0, 0], abs=1)


def test_shapes_are_checked(templates):
    with pytest.raises(ValueError, match="flux, templates and ivar have shapes"):
        velocity.correlate(templates[:1], templates)
