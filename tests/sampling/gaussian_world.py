"""A small world whose denoiser is known exactly."""

import torch

from specnb.denoising import networks


def gaussian(pixels=16, k=3, seed=0):
    """An untrained network is the exact denoiser of the Gaussian prior of its moments."""
    g = torch.Generator().manual_seed(seed)
    mean, basis = 1 + torch.randn(pixels, generator=g), 0.08 * torch.randn(pixels, k, generator=g)
    diagonal = 0.01 * torch.rand(pixels, generator=g)
    config = {
        "kind": "subspace",
        "rank": k,
        "components": k,
        "directions": 1,
        "width": 8,
        "blocks": 1,
    }
    model = networks.fresh(mean, basis, diagonal, **config).eval().requires_grad_(False)
    model.net.last.weight.zero_()
    return model, mean, basis @ basis.mT + diagonal.diag()
