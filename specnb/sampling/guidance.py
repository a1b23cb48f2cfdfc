r"""Guided denoisers: E[x | u, y] of a diffused state u = x + mε and an observation y = A x + n, from D = E[x | u].

A guided denoiser *is* a denoiser: samplers take either. With the observation's inverse variances W:

- :class:`GaussianProduct`, exact, for A = 1: u and y are two looks at x with independent Gaussian noise, so one look
  with variance :math:`C = (W + 1/m^2)^{-1}` at :math:`\mu = C\,(W y + u/m^2)` knows as much, and
  :math:`E[x | u, y] = D(\mu, \sqrt{C})`.
- :class:`DPS` (Chung et al. 2022, arXiv:2209.14687) puts :math:`p(y | \hat x)` in the place of p(y | u):
  :math:`\hat x - \zeta\,(m^2 + s^2)\,\nabla_u\, \bar\sigma \lVert y - A\hat x \rVert_W`, with the median standard
  deviation of the noise, so that for even noise it is the norm of the paper's code: of one spectrum, not squared. ζ has
  to be tuned.
- :class:`PiGDM` (Song et al. 2023, ICLR): p(x | u) is a Gaussian of variance :math:`r^2 = m^2 s^2/(m^2 + s^2)` in every
  pixel, and so is the weight of the guidance:
  :math:`\hat x + r^2\,\nabla_u \hat x\,A^\top (A r^2 A^\top + W^{-1})^{-1} (y - A\hat x)`.
  With m² in the place of the first r², as Bayes' rule has it, it diverges: pixels of stars vary together.
- :class:`MMPS` (Rozet et al. 2024, arXiv:2405.13712): p(x | u) is a Gaussian of full covariance V,
  :math:`\hat x + V A^\top (A V A^\top + W^{-1})^{-1}(y - A\hat x)`. There :math:`V = m^2\,\partial\hat x/\partial u`
  (Tweedie), which for a network is no covariance, and with which it diverges. Here the network says V itself, its local
  posterior; for a Gaussian prior that is the same.
"""

import torch

from specnb.sampling.instruments import identity

REACH = 10.0
"""Standard deviations of the prior beyond which no estimate goes."""


def solve(matvec, right, iterations=50, tolerance=1e-6):
    """Conjugate gradients, row by row: ``matvec``⁻¹ of ``right`` (n, k), for a positive definite matrix near 1."""
    x, r = torch.zeros_like(right), right
    p, square = r, (r * r).sum(1, keepdim=True)
    end = tolerance**2 * square.clamp(min=1e-30)
    for _ in range(iterations):
        if (square <= end).all():
            break
        ap = matvec(p)
        step = square / (p * ap).sum(1, keepdim=True).clamp(min=1e-30)
        x, r = x + step * p, r - step * ap
        before, square = square, (r * r).sum(1, keepdim=True)
        p = r + square / before.clamp(min=1e-30) * p
    return x


class Guided:
    """An observation beside a denoiser.

    Parameters
    ----------
    denoiser : Denoiser or localprior.SubspaceDenoiser
    y, ivar : torch.Tensor
        The observation and its inverse variance, shape (1, k); 0 = bad pixel.
    operator : instruments.Operator, optional
        A; by default the native instrument.
    """

    def __init__(self, denoiser, y, ivar, operator=None):
        self.denoiser, self.ivar, self.see = (
            denoiser,
            ivar,
            operator or identity(len(denoiser.mean)),
        )
        self.y = torch.where(ivar > 0, y, self.see(denoiser.mean[None]))

    def _clip(self, x):
        """Within what spectra can be, as the papers' codes do: a guidance too strong would else run away."""
        far = REACH * self.denoiser.scatter()
        return x.clamp(self.denoiser.mean - far, self.denoiser.mean + far)

    def _differentiable(self, u, m):
        with torch.enable_grad():
            u = u.detach().requires_grad_()
            return u, self.denoiser(u, m)

    def _whiten(self, variance):
        """Function: W½ (1 + W½ A diag(variance) Aᵀ W½)⁻¹ of rows (n, k)."""
        root = self.ivar.sqrt()

        def matvec(v):
            return v + root * self.see(variance * self.see.adjoint(root * v))

        return lambda right: root * solve(matvec, right)


class GaussianProduct(Guided):
    """Exact for A = 1: what state and observation say together, seen by the same network."""

    def _together(self, u, m):
        precision = m**-2 + self.ivar
        return (u * m**-2 + self.y * self.ivar) / precision, precision.rsqrt()

    def __call__(self, u, m):
        """E[x | u, y], shape of ``u`` (n, pixels); ``m`` (1, pixels)."""
        return self.denoiser(*self._together(u, m))

    def draw(self, u, m, rng):
        """A draw of p(x | u, y), as good as the denoiser's local prior."""
        return self.denoiser.draw(*self._together(u, m), rng)


class DPS(Guided):
    """Diffusion posterior sampling; ``scale`` is ζ."""

    def __init__(self, denoiser, y, ivar, scale, operator=None):
        super().__init__(denoiser, y, ivar, operator)
        self.scale = scale * float(ivar[ivar > 0].median()) ** -0.5
        self.variance = float(denoiser.scatter().square().mean())

    def __call__(self, u, m):
        """The guided estimate; arguments as above."""
        u, x = self._differentiable(u, m)
        with torch.enable_grad():
            norm = (self.ivar * (self.y - self.see(x)).square()).sum(1).sqrt()
            (slope,) = torch.autograd.grad(norm.sum(), u)
        return self._clip(x.detach() - self.scale * (m**2 + self.variance) * slope)


class PiGDM(Guided):
    """Pseudo-inverse guidance."""

    def __call__(self, u, m):
        """The guided estimate; arguments as above."""
        u, x = self._differentiable(u, m)
        spread = self.denoiser.scatter() ** 2
        r2 = m**2 * spread / (m**2 + spread)
        away = self.ivar.sqrt() * (self.y - self.see(x.detach()))
        (moved,) = torch.autograd.grad(x, u, self.see.adjoint(self._whiten(r2)(away)))
        return self._clip(x.detach() + r2 * moved)


class MMPS(Guided):
    """Moment matching with the covariance that the network says; ``denoiser`` is one of
    :mod:`specnb.denoising.local_prior`."""

    def _learn(self, x, covariance, basis, own, noise):
        """Condition spectra of a Gaussian on the observation, of which each sees one with some (whitened) noise."""
        weigh, root, seen = self._whiten(own), self.ivar.sqrt(), self.see(basis.mT).mT
        away = root * (self.y - self.see(x)) - noise
        information = (weigh(root * seen.mT) @ seen).double()
        right = (weigh(away) @ seen).double()
        one = torch.eye(len(information), dtype=torch.float64, device=x.device)
        solved = torch.linalg.solve(one + information @ covariance, right[..., None])
        z = (covariance @ solved)[..., 0].float()
        left = away - root * (z @ seen.mT)
        return x + z @ basis.mT + own * self.see.adjoint(weigh(left))

    def __call__(self, u, m):
        """The guided estimate; arguments as above."""
        return self._learn(*self.denoiser.local(u, m), 0.0)

    def draw(self, u, m, rng):
        """A draw of p(x | u, y) as this approximates it: one of p(x | u), conditioned (Papandreou & Yuille 2010)."""
        x, covariance, basis, own = self.denoiser.local(u, m)

        def noise(*shape):
            return torch.randn(*shape, generator=rng, device=u.device)

        root = torch.linalg.cholesky(covariance).float()
        x = x + (root @ noise(*root.shape[:2], 1))[..., 0] @ basis.mT + own.sqrt() * noise(*x.shape)
        return self._learn(x, covariance, basis, own, noise(len(x), self.ivar.shape[1]))
