"""Conjugate gradients against a dense solver."""

import pytest
import torch

from specnb.denoising.conjugate_gradients import solve


def system(n=4, k=30, seed=0):
    g = torch.Generator().manual_seed(seed)
    root = torch.randn(k, k, generator=g, dtype=torch.float64)
    return root @ root.mT + torch.eye(k, dtype=torch.float64), torch.randn(
        n, k, generator=g, dtype=torch.float64
    )


@pytest.mark.parametrize("preconditioned", [False, True])
def test_rows_are_solved(preconditioned):
    matrix, right = system()
    near = {"precondition": lambda r: r / matrix.diagonal()} if preconditioned else {}
    found = solve(lambda v: v @ matrix, right, 1e-24, 200, **near)
    assert torch.allclose(found, torch.linalg.solve(matrix, right.mT).mT, atol=1e-9)


def test_it_ends_when_all_rows_are_good_enough():
    matrix, right = system()
    calls = []

    def matvec(v):
        calls.append(len(v))
        return v @ matrix

    solve(matvec, torch.zeros_like(right), 1e-12, 200)
    assert not calls
    solve(matvec, right, 1e-12, 3)
    assert len(calls) == 3
