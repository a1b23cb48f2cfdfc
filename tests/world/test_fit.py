import numpy as np
import pytest
import torch

import specnb
from specnb.observed import Observed
from specnb.world import fit, prior, stars, streams
from specnb.world.continuum import Continuum


@pytest.fixture(scope="module")
def batch():
    return stars.draw(24, streams.generator("validation", 8), level=torch.full((24, 1), 0.25))


def seen(batch):
    return Observed(batch.y, batch.ivar)


def test_the_best_fit_is_at_least_as_good_as_the_truth(batch):
    """The optimum of the objective lies below its value at the true labels, from every start of every star."""
    world, observed = fit.default_world(), seen(batch)
    best, every = fit.best(world, observed)
    at_truth = world.objective(prior.to_normal(batch.labels.double()), observed, 1.0)
    assert (best.objective < at_truth + 0.01).all()
    assert all((one.objective >= best.objective - 1e-9).all() for one in every)


def test_pulls_are_normal(batch):
    best, _ = fit.best(fit.default_world(), seen(batch))
    sd = torch.linalg.inv(best.curvature).diagonal(dim1=1, dim2=2).sqrt()
    pull = (best.z - prior.to_normal(batch.labels.double())) / sd
    assert 0.7 < (1.4826 * pull.abs().median()) < 1.3


def test_without_noise_the_labels_come_back():
    b = stars.draw(12, streams.generator("validation", 9))
    inner = prior.to_normal(b.labels.double()).abs().max(1).values < 2
    x = b.x[inner]
    best, _ = fit.best(fit.default_world(), Observed(x, torch.full_like(x, 1e6)), fit.LIKELIEST)
    found, truth = prior.from_normal(best.z), b.labels[inner, :6].double()
    assert (found - truth)[:, 0].abs().max() < 10
    assert (found - truth)[:, 4].abs().max() < 0.5


def test_labels_of_noisy_spectra_are_near_the_truth(batch):
    found = fit.labels(seen(batch))
    assert found.shape == (24, 6)
    assert (found[:, 0] - batch.labels[:, 0]).abs().median() < 100
    assert (found[:, 4] - batch.labels[:, 4]).abs().median() < 10


def test_a_label_fit_denoises(batch):
    clean = torch.tensor(specnb.denoise(batch.y.numpy(), batch.ivar.numpy(), method="fit"))
    gain = (clean - batch.x).square().mean() / (batch.y - batch.x)[batch.good].square().mean()
    assert gain < 0.01


def test_continuum_against_dense_algebra():
    """Evidence and best coefficients against the full covariance matrix of a small window."""
    rng = np.random.default_rng(0)
    n, basis = 40, rng.normal(size=(3, 40))
    spectrum, flux, ivar = (
        1 - 0.3 * rng.random(n),
        1 + 0.1 * rng.normal(size=n),
        rng.uniform(50, 150, n),
    )
    ivar[5] = 0
    small = Continuum(torch.tensor(basis, dtype=torch.float32), torch.tensor([25.0, 16.0, 9.0]))
    f, y, w = (torch.tensor(v, dtype=torch.float32)[None] for v in (spectrum, flux, ivar))
    row = f, Observed(y, w)
    good = ivar > 0
    design = (basis * spectrum)[:, good]
    covariance = np.diag(1 / ivar[good]) + design.T @ np.diag([1 / 25, 1 / 16, 1 / 9]) @ design
    residual = (flux - spectrum)[good]
    expected = (
        -0.5 * residual @ np.linalg.solve(covariance, residual)
        - 0.5 * np.linalg.slogdet(covariance)[1]
    )
    constant = 0.5 * np.log(ivar[good]).sum() + 0.5 * np.log([25, 16, 9]).sum()
    assert float(small.log_likelihood(*row)) + constant == pytest.approx(expected, abs=1e-3)
    c, root, _ = small.best(*row)
    gain = np.diag([1 / 25, 1 / 16, 1 / 9]) @ design @ np.linalg.inv(covariance)
    assert np.allclose(c[0], gain @ residual, atol=1e-5)
    many = small.draw(
        c.expand(20_000, -1), root.expand(20_000, -1, -1), torch.Generator().manual_seed(0)
    )
    posterior = np.linalg.inv(np.diag([25.0, 16.0, 9.0]) + (design * ivar[good]) @ design.T)
    assert np.allclose(np.cov(many.numpy().T), posterior, atol=0.05 * posterior.diagonal().max())
