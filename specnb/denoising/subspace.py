r"""The linear optimum: posterior of a Gaussian prior of low rank plus a diagonal, and what it lets a network do.

For :math:`x \sim N(\mu, BB^\top/\gamma + D)` and the observation u with inverse variances W,

.. math:: z = (\gamma + B^\top \tilde W B)^{-1} B^\top \tilde W (u - \mu), \qquad \tilde W = W (1 + D W)^{-1}, \qquad
          \hat x(z) = \mu + Bz + D \tilde W (u - \mu - Bz).

Stars are no Gaussian: they lie on a curved surface of eleven dimensions, and :math:`\hat x` is their best estimate
among linear ones only. But of what the pixels say, the k numbers z keep nearly all.
"""

import torch


def products(basis):
    """Products of every pair of columns of ``basis``, shape (pixels, k (k + 1)/2): a normal matrix is then linear."""
    i, j = torch.triu_indices(basis.shape[1], basis.shape[1])
    return basis[:, i] * basis[:, j]


class LinearPosterior:
    """z, its covariance, and the spectrum that belongs to any z.

    Parameters
    ----------
    flux, ivar : torch.Tensor
        Shape (n, pixels); ``ivar`` may be one row, (1, pixels), for all.
    mean, basis, diagonal : torch.Tensor
        μ, B, D, of shapes (pixels,), (pixels, k), (pixels,); k may be 0.
    ridge : float
        γ, precision of the components; 1 is the prior's own, towards 0 is weighted least squares.
    pairs : torch.Tensor, optional
        :func:`products` of ``basis``: several times as fast for whoever keeps them.
    """

    def __init__(self, flux, ivar, mean, basis, diagonal, ridge=1.0, pairs=None):
        self.mean, self.basis, self.diagonal, self.ridge = mean, basis, diagonal, ridge
        self.weight, self.residual = ivar / (1 + diagonal * ivar), flux - mean
        if pairs is None:
            normal = (basis.mT * self.weight[:, None]) @ basis
        else:
            k = basis.shape[1]
            i, j = torch.triu_indices(k, k, device=flux.device)
            normal = basis.new_empty(len(ivar), k, k)
            normal[:, i, j] = normal[:, j, i] = self.weight @ pairs
        self.normal = normal.double()  # entries are good to 1e-7 each; their inverse needs more
        self.normal.diagonal(dim1=1, dim2=2).add_(ridge)
        self.root = torch.linalg.cholesky(self.normal)
        right = ((self.weight * self.residual) @ basis).double()
        self.z = torch.cholesky_solve(right[..., None], self.root)[..., 0].to(basis.dtype)

    def spectrum(self, z):
        """x̂(z), shape (n, pixels), of ``z`` (n, k)."""
        fit = z @ self.basis.mT
        return self.mean + fit + self.diagonal * self.weight * (self.residual - fit)

    def covariance(self):
        """Posterior covariance of z, (n, k, k), of as many rows as ``ivar``."""
        return torch.cholesky_inverse(self.root).to(self.basis.dtype)

    def information(self):
        """A = BᵀW̃B, what the pixels say of z, float64; of as many rows as ``ivar``."""
        return self.normal - self.ridge * torch.eye(
            self.normal.shape[1], dtype=torch.float64, device=self.normal.device
        )

    def gain(self, right, directions, variance):
        """(1/P + A)⁻¹ times ``right`` (n, k) for the prior P = J Jᵀ + diag v of z, float64.

        Parameters
        ----------
        directions, variance : torch.Tensor
            J and v, of shapes (n, k, ·) and (n, k).
        """
        prior = (directions @ directions.mT + torch.diag_embed(variance)).double()
        one = torch.eye(prior.shape[1], dtype=prior.dtype, device=prior.device)
        solved = torch.linalg.solve(one + self.information() @ prior, right[..., None])
        return (prior @ solved)[..., 0]

    def left(self, directions, variance):
        """Posterior covariance (1/P + A)⁻¹ of z for that prior, (n, k, k), float64."""
        prior = (directions @ directions.mT + torch.diag_embed(variance)).double()
        one = torch.eye(prior.shape[1], dtype=prior.dtype, device=prior.device)
        covariance = prior @ torch.linalg.inv(one + self.information() @ prior)
        return 0.5 * (covariance + covariance.mT)

    def learn(self, z, sd, estimate):
        """Take account of independent estimates of the components, posteriors z ± sd under the prior N(0, 1).

        Returns
        -------
        torch.Tensor
            What :meth:`update` has to add to its right-hand side for an ``estimate`` of the components, (n, k).
        """
        precision = (sd**-2 - 1).clamp(min=0)
        self.normal = self.normal + torch.diag_embed(precision.double())
        return z / sd**2 - precision * estimate

    def update(self, residual, directions, variance, known=0.0):
        """Components to add to an estimate for a prior N(0, J Jᵀ + diag v) about it.

        Parameters
        ----------
        residual : torch.Tensor
            Observation minus estimate, shape (n, pixels).
        directions, variance : torch.Tensor
            J and v, of shapes (n, k, ·) and (n, k).
        known : torch.Tensor, optional
            From :meth:`learn`.

        Returns
        -------
        torch.Tensor
            Shape (n, k).
        """
        right = ((self.weight * residual) @ self.basis + known).double()
        return self.gain(right, directions, variance).to(residual.dtype)

    def deviate(self, directions, variance, rng):
        """A draw of z about its posterior mean for the prior N(0, J Jᵀ + diag v); arguments and result as above.

        A draw of the prior and one of the noise, seen through the same gain (Papandreou & Yuille 2010).
        """
        (n, k, j), like = directions.shape, {"generator": rng, "device": variance.device}
        drawn = (directions @ torch.randn(n, j, 1, **like))[..., 0] + variance.sqrt() * torch.randn(
            n, k, **like
        )
        a = self.information()
        jitter = (
            1e-10
            * a.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
            * torch.eye(k, device=a.device)
        )
        root = torch.linalg.cholesky(a + jitter)
        noise = (root @ torch.randn(n, k, 1, **like).double())[..., 0]
        right = noise - (a @ drawn.double()[..., None])[..., 0]
        return drawn + self.gain(right, directions, variance).to(drawn.dtype)
