import numpy as np
import pytest
import torch

import specnb
from specnb.labels import bounds
from specnb.world import stars, streams
from specnb.world.emulator import load_emulator


def labels_of(s):
    return np.stack([np.asarray(s.labels[k]) for k in s.labels.colnames], 1)


def test_jacobian_by_finite_differences():
    y = stars.draw(3, streams.generator("test", 5)).labels
    jacobian = bounds.jacobian(y)
    steps = torch.tensor([20.0, 0.02, 0.02, 0.02, 1.0, 1.0, *[0.01] * 5])
    for i, h in enumerate(steps):
        e = torch.zeros(11)
        e[i] = h
        slope = (
            stars.clean(y + e, load_emulator("cpu")) - stars.clean(y - e, load_emulator("cpu"))
        ) / (2 * h)
        size = slope.square().mean(1).sqrt()
        assert ((jacobian[:, i] - slope).square().mean(1).sqrt() < 0.03 * size + 1e-6).all(), i


def test_the_bound_falls_with_the_noise():
    s = specnb.simulate(6, 2, snr=10)
    plain, better = bounds.cramer_rao(s.labels, s.ivar), bounds.cramer_rao(labels_of(s), 4 * s.ivar)
    assert np.allclose(plain, 2 * better, rtol=1e-6)


def test_a_star_that_does_not_rotate_has_no_bound_on_its_rotation():
    s = specnb.simulate(2, 2, snr=10)
    y = labels_of(s)
    y[0, 5] = 0
    found = bounds.cramer_rao(y, s.ivar)
    assert np.isinf(found[0, 5])
    assert np.isfinite(np.delete(found, 5, 1)).all()


def test_averaged_bound_lies_below_the_priors_width_without_data_and_below_the_posteriors_with():
    s = specnb.simulate(64, 6, snr=10)
    nothing = bounds.van_trees(s.labels, 0 * s.ivar)
    width = np.r_[
        np.sqrt(746.4**2), 1.2, 3 / 12**0.5, 0.6 / 12**0.5, 600 / 12**0.5, 50 / 12**0.5, [0.02] * 5
    ]
    assert (nothing <= 1.05 * width).all()
    assert (nothing > 0.8 * width)[[0, 2, 3, 4, 5]].all()
    assert np.allclose(nothing[6:], 0.02)
    some = bounds.van_trees(s.labels, s.ivar)
    posterior = specnb.oracle(s.observed[:8], s.ivar[:8], 256)
    rms = [np.sqrt(np.mean(np.asarray(posterior.labels[k]).std(1) ** 2)) for k in s.labels.colnames]
    assert (some < nothing).all()
    assert (some < 1.4 * np.array(rms)).all()  # 8 stars


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="give \\(n, 11\\)"):
        bounds.cramer_rao(np.ones((2, 6)), np.ones((2, 3136)))


def test_a_coefficient_alone_in_closed_form():
    """With all else known, c_k is a linear parameter: variance 1/Σ w (P_k F)²."""
    s = specnb.simulate(2, 3, snr=10)
    information = bounds.fisher(
        torch.tensor(labels_of(s), dtype=torch.float32), torch.tensor(s.ivar)
    ).numpy()
    pure = s.flux / (1 + labels_of(s)[:, 6:] @ stars.legendre().numpy())
    assert np.allclose(
        information[:, 7, 7], (s.ivar * (pure * stars.legendre()[1].numpy()) ** 2).sum(1), rtol=1e-4
    )


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
