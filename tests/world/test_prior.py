import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specnb.world import prior


def test_normals_are_the_prior_and_back():
    labels = prior.draw_labels(5000, torch.Generator().manual_seed(1)).double()
    z = prior.to_normal(labels)
    assert torch.allclose(prior.from_normal(z), labels[:, :6], rtol=1e-6, atol=1e-6)
    assert z.mean(0).abs().max() < 0.06
    assert (z.std(0) - 1).abs().max() < 0.05
    assert (torch.corrcoef(z.T) - torch.eye(6, dtype=z.dtype)).abs().max() < 0.06


def test_the_jacobian_turns_the_normal_into_the_uniform_density():
    z = torch.tensor(
        [[0.3, -1.2, 0.5, 1.5, -0.4, -2.0], [-2.0, 0.1, 2.0, -1.0, 1.0, 0.5]], dtype=torch.float64
    )
    height_hot, height_cool = (5 - prior.logg_min(t) for t in (7000.0, 4300.0))
    density = 1 / (2700 * 0.5 * (height_hot + height_cool) * 3.0 * 0.6 * 600 * 50)
    for one in z:
        jacobian = torch.autograd.functional.jacobian(prior.from_normal, one)
        normal = torch.exp(-0.5 * one.square().sum()) / (2 * np.pi) ** 3
        assert torch.isclose(
            normal / torch.linalg.det(jacobian),
            torch.tensor(density, dtype=torch.float64),
            rtol=1e-6,
        )


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-30, 30), min_size=6, max_size=6))
def test_every_normal_is_a_star_of_the_domain(z):
    teff, logg, m_h, alpha_m, rv, vsini = prior.from_normal(
        torch.tensor(z, dtype=torch.float64)
    ).tolist()
    assert 4300 <= teff <= 7000
    assert prior.logg_min(teff) <= logg <= 5
    assert -2.5 <= m_h <= 0.5
    assert -0.1 <= alpha_m <= 0.5
    assert abs(rv) <= 300
    assert 0 <= vsini <= 50
