import pytest
import torch

from specnb import denoiser_card, denoisers, train


def test_loss_is_one_for_a_network_that_says_nothing():
    """F = 0 on a Gaussian of independent pixels: the residual target has unit variance at every level."""
    from specnb.stars import Batch

    g = torch.Generator().manual_seed(0)
    std, level = torch.full((3136,), 0.1), torch.tensor([[0.05], [1.0], [5.0]])
    x = 1 + std * torch.randn(3, 3136, generator=g)
    sigma = torch.rand(3, 3136, generator=g) + 0.1
    y = x + level * sigma * torch.randn(3, 3136, generator=g)
    batch = Batch(x, y, sigma, level, torch.ones(3, 3136, dtype=torch.bool), torch.zeros(3, 11))
    silent = denoisers.Denoiser(lambda channels, level: torch.zeros_like(channels[:, 0]), torch.ones(3136), std)
    assert abs(float(train.loss(silent, batch)) - 1) < 0.05


def test_training_is_reproducible_and_learns(tmp_path):
    short = train.Profile({"stem": 32, "channels": (32, 64)}, steps=80, batch_size=16)

    def once(log=None):
        torch.manual_seed(0)
        return train.fit(denoisers.fresh(*train.moments(short.net, 512), **short.net), short, seed=3, log=log)

    (a, rows), (b, _) = once(tmp_path / "log.csv"), once()
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(p, q)
    assert rows[-1]["loss"] < 0.9 * rows[0]["loss"]
    assert rows[-1]["loss"] < 0.95  # 1 is a network that says nothing
    assert (tmp_path / "log.csv").read_text().splitlines()[0] == "step,loss,rate,seconds"


def test_the_card_is_written_from_what_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(denoiser_card, "N_TEST", 8)
    monkeypatch.setitem(train.MODELS["bounded"], "smoke", train.Profile({"stem": 32, "channels": (16, 16)}, 2 * 10, 4))
    card = denoiser_card.train("bounded", "smoke", tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "bounded.csv", "bounded.json", "bounded.md", "bounded.safetensors"]  # fmt: skip
    assert "20 steps, 80 simulated stars" in card.read_text()


def test_dncnn_trains_saves_and_loads(tmp_path, monkeypatch):
    """Its batch normalisation keeps running statistics, which the average over steps must carry along."""
    monkeypatch.setattr(denoiser_card, "N_TEST", 4)
    monkeypatch.setattr(denoiser_card, "LEVELS", (0.5,))
    denoiser_card.train("dncnn", "smoke", tmp_path)
    model = denoisers.read(tmp_path / "dncnn.safetensors")
    seen = [v for k, v in model.state_dict().items() if k.endswith("running_var")]
    assert seen
    assert all((v != 1).any() for v in seen)


def test_an_unknown_model_or_profile_is_refused(tmp_path):
    with pytest.raises(ValueError, match="name is 'resnet'; choose one of"):
        denoiser_card.train("resnet", "smoke", tmp_path)
    with pytest.raises(ValueError, match="profile is 'huge'; dncnn has"):
        denoiser_card.train("dncnn", "huge", tmp_path)
