"""What azula's guided samplers answer in a small Gaussian world, into tests/sampling/azula.json.

azula asks for torchvision, of which there is no build without a GPU's libraries, so that it is no dependency:
``pip install --no-deps azula==0.11.1 einops``, run this, and the tests hold our guidance against the file.
"""

import json
from pathlib import Path

import torch
from azula.denoise import GaussianDenoiser
from azula.guidance.dps import DPSSampler
from azula.guidance.mmps import MMPSDenoiser
from azula.guidance.pgdm import PGDMSampler
from azula.linalg.covariance import DiagonalCovariance, DPLRCovariance
from azula.noise import VESchedule

PIXELS, RANK = 16, 3


def main():
    g = torch.Generator().manual_seed(20)
    mean = 1 + 0.1 * torch.randn(PIXELS, generator=g, dtype=torch.float64)
    basis = 0.08 * torch.randn(PIXELS, RANK, generator=g, dtype=torch.float64)
    diagonal = 0.06 - basis.square().sum(
        1
    )  # the same variance in all pixels, as its pseudo-inverse guidance wants
    see = torch.rand(8, PIXELS, generator=g, dtype=torch.float64)
    see = see / see.sum(1, keepdim=True)
    variance = 0.01 + 0.02 * torch.rand(8, generator=g, dtype=torch.float64)
    u, y = (1 + 0.2 * torch.randn(1, k, generator=g, dtype=torch.float64) for k in (PIXELS, 8))
    whole = 1 + 0.2 * torch.randn(1, PIXELS, generator=g, dtype=torch.float64)
    t, s = torch.tensor(0.6, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    schedule = VESchedule(1e-2, 1.0)
    denoiser = GaussianDenoiser(mean, DPLRCovariance(diagonal, basis), schedule)

    def moved(sampler, **settings):
        """What guidance adds in a step: the same noise with and without it."""
        torch.manual_seed(0)
        return sampler.step(u, t, s, **settings)

    mmps = MMPSDenoiser(
        denoiser, y, lambda x: x @ see.mT, DiagonalCovariance(variance), "cg", iterations=50
    )
    dps = [moved(DPSSampler(denoiser, whole, lambda x: x, zeta=zeta)) for zeta in (0.0, 1.0)]
    pigdm = moved(PGDMSampler(denoiser, whole, lambda x: x, lambda x: x, eta=1.0))
    numbers = {
        "mean": mean, "basis": basis, "diagonal": diagonal, "operator": see, "variance": variance,
        "u": u, "y": y, "whole": whole, "m": schedule.sigma(t), "denoised": denoiser(u, t).mean,
        "mmps": mmps(u, t).mean, "dps": dps[0] - dps[1], "pigdm": pigdm - dps[0],
    }  # fmt: skip
    path = Path(__file__).parents[1] / "tests" / "sampling" / "azula.json"
    path.write_text(json.dumps({k: v.tolist() for k, v in numbers.items()}))


if __name__ == "__main__":
    main()
