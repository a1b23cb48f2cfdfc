r"""Guided denoisers: E[x | u, y] of a diffused state u = x + mε and an observation y = x + n, from D(u, m) = E[x | u].

A guided denoiser *is* a denoiser: samplers take either. With the observation's inverse variances W:

- :class:`GaussianProduct`, exact: u and y are two looks at x with independent Gaussian noise, so one look with
  variance :math:`C = (W + 1/m^2)^{-1}` at :math:`\mu = C\,(W y + u/m^2)` knows as much, and
  :math:`E[x | u, y] = D(\mu, \sqrt{C})`.
- :class:`DPS` (Chung et al. 2022, arXiv:2209.14687) puts :math:`p(y | \hat x)` in the place of p(y | u):
  :math:`\hat x - \zeta\,(m^2 + s^2)\,\nabla_u \lVert y - \hat x \rVert_W`, the norm of one spectrum and not squared, as
  in the paper's code; ζ has to be tuned.
- :class:`PiGDM` (Song et al. 2023, ICLR): p(x | u) is a Gaussian of variance :math:`r^2 = m^2 s^2/(m^2 + s^2)` in every
  pixel, and so is the weight of the guidance: :math:`\hat x + r^2\,\nabla_u \hat x\,(r^2 + W^{-1})^{-1} (y - \hat x)`.
  With m² in the place of the first r², as Bayes' rule has it, it diverges: pixels of stars vary together.
- :class:`MMPS` (Rozet et al. 2024, arXiv:2405.13712): its covariance is :math:`V = m^2\,\partial\hat x/\partial u`
  (Tweedie): :math:`\hat x + V\,(V + W^{-1})^{-1}(y - \hat x)`, by conjugate gradients. Exact for a Gaussian prior;
  with a network, whose Jacobian is no covariance, it diverges as it stands, so `sample_posterior` does not offer it.
"""

import torch


class Guided:
    """An observation beside a denoiser.

    Parameters
    ----------
    denoiser : Denoiser or localprior.SubspaceDenoiser
    y, ivar : torch.Tensor
        The observation and its inverse variance, shape (1, pixels); 0 = bad pixel.
    """

    def __init__(self, denoiser, y, ivar):
        self.denoiser, self.ivar = denoiser, ivar
        self.y = torch.where(ivar > 0, y, denoiser.mean)

    def _differentiable(self, u, m):
        with torch.enable_grad():
            u = u.detach().requires_grad_()
            return u, self.denoiser(u, m)


class GaussianProduct(Guided):
    """Exact: what state and observation say together, seen by the same network."""

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

    def __init__(self, denoiser, y, ivar, scale):
        super().__init__(denoiser, y, ivar)
        self.scale, self.variance = scale, float(denoiser.scatter().square().mean())

    def __call__(self, u, m):
        """The guided estimate; arguments as above."""
        u, x = self._differentiable(u, m)
        with torch.enable_grad():
            norm = (self.ivar * (self.y - x).square()).sum(1).sqrt()
            (slope,) = torch.autograd.grad(norm.sum(), u)
        return x.detach() - self.scale * (m**2 + self.variance) * slope


class PiGDM(Guided):
    """Pseudo-inverse guidance."""

    def __call__(self, u, m):
        """The guided estimate; arguments as above."""
        u, x = self._differentiable(u, m)
        spread = self.denoiser.scatter() ** 2
        r2 = m**2 * spread / (m**2 + spread)
        push = self.ivar / (1 + r2 * self.ivar) * (self.y - x.detach())
        (moved,) = torch.autograd.grad(x, u, push)
        return x.detach() + r2 * moved


class MMPS(Guided):
    """Moment matching; ``iterations`` of conjugate gradients."""

    def __init__(self, denoiser, y, ivar, iterations=20):
        super().__init__(denoiser, y, ivar)
        self.iterations = iterations

    def __call__(self, u, m):
        """The guided estimate; arguments as above."""
        u, x = self._differentiable(u, m)

        def covariance(v):
            (moved,) = torch.autograd.grad(x, u, v, retain_graph=True)
            return m**2 * moved

        root = self.ivar.sqrt()  # (1 + √W V √W) w = √W (y − x̂): the same system, well conditioned
        right = root * (self.y - x.detach())
        w, r = torch.zeros_like(right), right
        p, square = r, (r * r).sum(1, keepdim=True)
        for _ in range(self.iterations):
            ap = p + root * covariance(root * p)
            step = square / (p * ap).sum(1, keepdim=True).clamp(min=1e-20)
            w, r = w + step * p, r - step * ap
            before, square = square, (r * r).sum(1, keepdim=True)
            p = r + square / before.clamp(min=1e-20) * p
        return x.detach() + covariance(root * w)
