"""Checkpoints, and training that goes on from them as if nothing had happened."""

import os
import subprocess
import sys

import pytest
import torch

from specnb.denoising import networks
from specnb.training import checkpoint, loop, profiles
from specnb.training.profiles import Profile
from specnb.world import stars

NET = {"kind": "subspace", "rank": 10, "components": 20, "directions": 2, "width": 32, "blocks": 1}
SHORT = Profile(NET, steps=30, batch_size=8, rate=1e-3, flat=0.25)


@pytest.fixture(autouse=True)
def no_yardstick(monkeypatch):
    monkeypatch.setattr(loop.yardstick, "rho", lambda denoiser: {"rho_10": 1.0})


def fresh():
    torch.manual_seed(0)
    return networks.fresh(*profiles.moments(NET, 512), **NET)


def numbers(folder):
    return checkpoint.latest(folder)[1]


def test_tensors_and_numbers_come_back(tmp_path):
    assert checkpoint.latest(tmp_path / "none") == ({}, {})
    for step in (1, 2, 3):
        checkpoint.save(
            tmp_path,
            step,
            {"a": torch.full((2,), float(step))},
            {"step": step, "rows": [{"x": 0.5}]},
        )
    tensors, found = checkpoint.latest(tmp_path)
    assert torch.equal(tensors["a"], torch.tensor([3.0, 3.0]))
    assert found == {"step": 3, "rows": [{"x": 0.5}]}
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step-00000002.safetensors",
        "step-00000003.safetensors",
    ]


@pytest.mark.parametrize("size", [0, 5, 60, -1])
def test_a_truncated_one_is_refused_and_the_one_before_is_used(tmp_path, size):
    for step in (1, 2):
        checkpoint.save(tmp_path, step, {"a": torch.ones(99)}, {"step": step})
    newest = tmp_path / "step-00000002.safetensors"
    newest.write_bytes(newest.read_bytes()[:size])
    with pytest.warns(
        UserWarning, match=r"step-00000002.* cannot be read .*; going on from step-00000001"
    ):
        assert numbers(tmp_path) == {"step": 1}
    (tmp_path / "step-00000001.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"delete .* to start anew"):
        checkpoint.latest(tmp_path)


def interrupted(monkeypatch, at):
    """Make the stream of stars die after batch ``at``, once."""
    whole = stars.stream

    def dying(*args, start=0, **kwargs):
        for i, batch in enumerate(whole(*args, start=start, **kwargs), start):
            if i == at:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(stars, "stream", dying)


@pytest.mark.parametrize("broken", [False, True])
def test_a_killed_run_ends_where_an_undisturbed_one_does(tmp_path, monkeypatch, broken):
    expected, rows = loop.fit(fresh(), SHORT, seed=5)
    with monkeypatch.context() as patch:
        interrupted(patch, at=27)
        with pytest.raises(KeyboardInterrupt):
            loop.fit(fresh(), SHORT, seed=5, folder=tmp_path)
    assert numbers(tmp_path)["step"] == 20
    if broken:
        newest = tmp_path / "step-00000020.safetensors"
        newest.write_bytes(newest.read_bytes()[:1000])
        with pytest.warns(UserWarning, match="going on from step-00000010"):
            found, again = loop.fit(fresh(), SHORT, seed=5, folder=tmp_path)
    else:
        found, again = loop.fit(fresh(), SHORT, seed=5, folder=tmp_path)
    for a, b in zip(found.state_dict().values(), expected.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert [r["loss"] for r in again] == [r["loss"] for r in rows]


def test_another_run_is_not_continued(tmp_path):
    loop.fit(fresh(), Profile(NET, steps=10, batch_size=8), seed=5, folder=tmp_path)
    with pytest.raises(ValueError, match="holds a run with seed 5, not 6; give another folder"):
        loop.fit(fresh(), Profile(NET, steps=10, batch_size=8), seed=6, folder=tmp_path)


TWO = """
import sys, torch
from specnb.denoising import networks
from specnb.training import loop, profiles
from specnb.training.profiles import Profile
loop.yardstick.rho = lambda denoiser: {}
net = %r
torch.manual_seed(0)
model = networks.fresh(*profiles.moments(net, 512), **net)
short = Profile(net, steps=30, batch_size=8, rate=1e-3, flat=0.25)
loop.fit(model, short, seed=5, folder=sys.argv[1])
"""


@pytest.mark.slow
def test_two_processes_follow_the_curve_of_one(tmp_path):
    script = tmp_path / "two.py"
    script.write_text(TWO % NET)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(script),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    done = subprocess.run(
        [*command, str(tmp_path / "run")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    two, (_, one) = numbers(tmp_path / "run")["rows"], loop.fit(fresh(), SHORT, seed=5)
    assert [r["loss"] for r in two] == pytest.approx([r["loss"] for r in one], rel=1e-3)
