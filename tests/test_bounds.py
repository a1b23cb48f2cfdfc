import numpy as np
import pytest
import torch

import specnb
from specnb import bounds, stars
from specnb.emulator import load_emulator


def labels_of(s):
    return np.stack([np.asarray(s.labels[k]) for k in s.labels.colnames], 1)


def test_jacobian_by_finite_differences():
    y = stars.draw(3, stars.generator("test", 5)).labels
    jacobian = bounds.jacobian(y)
    steps = torch.tensor([20.0, 0.02, 0.02, 0.02, 1.0, 1.0, *[0.01] * 5])
    for i, h in enumerate(steps):
        e = torch.zeros(11)
        e[i] = h
        slope = (stars.clean(y + e, load_emulator("cpu")) - stars.clean(y - e, load_emulator("cpu"))) / (2 * h)
        size = slope.square().mean(1).sqrt()
        assert ((jacobian[:, i] - slope).square().mean(1).sqrt() < 0.03 * size + 1e-6).all(), i


def test_the_bound_falls_with_the_noise_and_the_prior_helps():
    s = specnb.simulate(6, 2, snr=10)
    plain, better = bounds.cramer_rao(labels_of(s), s.ivar), bounds.cramer_rao(labels_of(s), 4 * s.ivar)
    assert np.allclose(plain, 2 * better, rtol=1e-6)
    leaning = bounds.cramer_rao(labels_of(s), s.ivar, with_prior=True)
    assert (leaning[:, 6:] <= plain[:, 6:] * (1 + 1e-9)).all()
    assert (leaning[:, 6:] < 0.02).all()
    assert (leaning[:, 5] < 50).all()  # v sin i: the prior is 50 km/s wide


def test_a_coefficient_alone_in_closed_form():
    """With all else known, c_k is a linear parameter: variance 1/Σ w (P_k F)²."""
    s = specnb.simulate(2, 3, snr=10)
    information = bounds.fisher(torch.tensor(labels_of(s), dtype=torch.float32), torch.tensor(s.ivar)).numpy()
    pure = s.flux / (1 + labels_of(s)[:, 6:] @ stars.legendre().numpy())
    assert np.allclose(information[:, 7, 7], (s.ivar * (pure * stars.legendre()[1].numpy()) ** 2).sum(1), rtol=1e-4)


def test_velocity_limit_is_the_cramer_rao_bound_of_rv_alone():
    s = specnb.simulate(8, 4, snr=20)
    y = labels_of(s)
    information = bounds.fisher(torch.tensor(y, dtype=torch.float32), torch.tensor(s.ivar)).numpy()
    alone = (1 + y[:, 4] / 299792.458) / np.sqrt(information[:, 4, 4])
    assert np.allclose(bounds.rv_limit(s.flux, s.ivar), alone, rtol=0.02)
    assert (bounds.cramer_rao(y, s.ivar)[:, 4] > alone * 0.999).all()


@pytest.mark.parametrize("width", [3.0, 6.0])
def test_velocity_limit_of_one_gaussian_line(width):
    """Depth d, width s in pixels, white noise: Σ (dF/dx)² = d² √π / (2 s) per pixel."""
    x = np.arange(3136.0)
    flux = 1 - 0.5 * np.exp(-0.5 * ((x - 1500) / width) ** 2)
    ivar = np.full(3136, 100.0**2)
    expected = 69.0298 / (100 * 0.5 * np.sqrt(np.sqrt(np.pi) / (2 * width)))
    assert bounds.rv_limit(flux[None], ivar[None])[0] == pytest.approx(expected, rel=2e-3)
