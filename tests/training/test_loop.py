from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
import torch

from specnb.denoising import networks
from specnb.observed import Observed
from specnb.training import denoiser, loop, models, objectives, profiles
from specnb.training.profiles import Profile
from specnb.world import stars, streams


def test_every_noise_level_comes_to_weigh_the_same():
    """Errors that differ by 10^8 between levels: after a while each level's share of the loss is 1."""
    g = torch.Generator().manual_seed(0)
    balance = loop.Balance("cpu")
    for _ in range(400):
        coordinate = -4 + 8 * torch.rand(256, generator=g)
        error = 1e-4 * torch.exp(2 * coordinate) * torch.rand(256, generator=g).clamp(min=0.1)
        balance.learn(error, coordinate)
    loss = balance(error, coordinate)
    assert 0.7 < loss < 1.6
    low, high = (
        balance(error[rows], coordinate[rows]) for rows in (coordinate < -2, coordinate > 2)
    )
    assert 0.5 < low / high < 2


def test_weights_depend_on_the_level_alone():
    """A bad star is not spared: at one level the loss is linear in the error, so its minimum is the posterior mean."""
    balance, level = loop.Balance("cpu"), torch.zeros(2)
    error = torch.tensor([1e-5, 1e-3])
    balance.learn(error, level)
    assert torch.isclose(balance(10 * error, level), 10 * balance(error, level))


def test_flat_noise_is_as_said():
    batch = next(stars.stream(64, seed=1, flat=0.25))
    flat, rest = slice(0, 16), slice(16, None)
    assert (batch.sigma[flat] == 1).all()
    assert batch.good[flat].all()
    assert (batch.sigma[rest].std(1) > 0.01).all()
    white = ((batch.y - batch.x) / batch.level)[flat]
    assert white.std() == pytest.approx(1, abs=0.02)
    assert batch.level[flat].min() < 0.1 < 1 < batch.level[flat].max()


def test_training_is_reproducible_and_learns(tmp_path):
    net = dict(kind="subspace", rank=30, components=40, width=128, blocks=1)
    short = Profile(net, steps=150, batch_size=32, rate=3e-3)

    def once():
        torch.manual_seed(0)
        return loop.fit(
            networks.fresh(*profiles.moments(short.net, 512), **short.net), short, seed=3
        )

    (a, rows), (b, _) = once(), once()
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(p, q)
    batch = stars.draw(64, streams.generator("validation", 0), snr=(5, 20))
    torch.manual_seed(0)
    untrained = networks.fresh(*profiles.moments(short.net, 512), **short.net)
    with torch.no_grad():
        before, after = (objectives.mse(model, batch)[0].mean() for model in (untrained, a))
    assert after < 0.92 * before  # and before is the linear optimum
    assert [row["step"] for row in rows] == list(range(10, 151, 10))
    assert list(rows[0]) == [
        "step",
        "loss",
        "rate",
        "seconds",
        "rho_5",
        "rho_10",
        "rho_20",
        "rho_50",
        "rho_100",
    ]
    assert 1 < rows[-1]["rho_20"] < rows[0]["rho_20"] < 10
    loop.write_log(tmp_path / "log.csv", rows)
    assert (
        pd.read_csv(tmp_path / "log.csv", float_precision="round_trip").to_dict("records") == rows
    )


def test_the_log_is_written_as_pandas_would(tmp_path):
    """Logs that ship were: their bytes stay what they are."""
    assets = files("specnb") / "assets"
    for name in ("bounded", "dncnn", "labels", "wmae"):
        rows = pd.read_csv(assets / f"{name}.csv", float_precision="round_trip").to_dict("records")
        loop.write_log(tmp_path / "log.csv", rows)
        expected = (assets / f"{name}.csv").read_bytes().replace(b"\r\n", b"\n")
        assert (tmp_path / "log.csv").read_bytes() == expected
    rows = [
        {"step": 1, "loss": 1e-17, "rho": np.float64(0.1)},
        {"step": 2, "loss": float("nan"), "more": "a,b"},
    ]
    loop.write_log(tmp_path / "log.csv", rows)
    assert (tmp_path / "log.csv").read_text() == pd.DataFrame(rows).to_csv(index=False)


def test_the_card_is_written_from_what_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(denoiser, "N_TEST", 8)
    monkeypatch.setitem(
        profiles.MODELS["bounded"], "smoke", Profile({"stem": 32, "channels": (16, 16)}, 2 * 10, 4)
    )
    card = models.train("bounded", "smoke", tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "bounded.csv", "bounded.json", "bounded.md", "bounded.safetensors"]  # fmt: skip
    assert "20 steps, 80 simulated stars" in card.read_text()


def test_dncnn_trains_saves_and_loads(tmp_path, monkeypatch):
    """Its batch normalisation keeps running statistics, which the average over steps must carry along."""
    monkeypatch.setattr(denoiser, "N_TEST", 4)
    monkeypatch.setattr(denoiser, "LEVELS", (0.5,))
    models.train("dncnn", "smoke", tmp_path)
    model = networks.read(tmp_path / "dncnn.safetensors")
    seen = [v for k, v in model.state_dict().items() if k.endswith("running_var")]
    assert seen
    assert all((v != 1).any() for v in seen)


def test_an_unknown_model_or_profile_is_refused(tmp_path):
    with pytest.raises(ValueError, match="name is 'resnet'; choose one of"):
        models.train("resnet", "smoke", tmp_path)
    with pytest.raises(ValueError, match="profile is 'huge'; dncnn has"):
        models.train("dncnn", "huge", tmp_path)


def test_the_width_of_draws_is_learnt_without_touching_the_mean():
    net = dict(kind="subspace", rank=20, components=30, width=32, blocks=1)
    torch.manual_seed(0)
    fresh = networks.fresh(*profiles.moments(net, 512), **net).eval()
    torch.nn.init.constant_(fresh.net.spread.bias, -0.7)  # much too narrow
    batch = stars.draw(64, streams.generator("validation", 1), snr=(5, 50))
    m = torch.where(batch.good, batch.level * batch.sigma, 30.0)
    u = torch.where(batch.good, batch.y, fresh.mean)
    state = Observed.state(u, m)
    with torch.no_grad():
        mean, surprise = fresh(u, m), fresh.surprise(batch.x, state).mean()
    learnt, _ = loop.fit(fresh, Profile(net, 100, 32, rate=3e-3, objective="spread"), seed=1)
    with torch.no_grad():
        assert torch.equal(learnt(u, m), mean)
        assert learnt.surprise(batch.x, state).mean() < surprise - 1
