"""Checkpoints as .safetensors files."""

import json
import shutil
import sys

import torch
from helpers import GOLDEN
from safetensors import safe_open
from safetensors.torch import load_file

from neurotorch import CheckpointManager, SequentialRNN, Trainer, cli
from neurotorch.modules.layers import Linear, SpyLIFLayer
from neurotorch.utils.export import export_checkpoint


def trained(folder):
    model = SequentialRNN([SpyLIFLayer(3, 4, name="cells"), Linear(4, 2, name="readout")], device="cpu").build()
    manager = CheckpointManager(folder, metric="train_loss")
    trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=[manager], verbose=False)
    trainer.train([(torch.rand(2, 5, 3), torch.rand(2, 5, 2))], n_iterations=3)
    return model, trainer


def test_command_writes_weights_and_metadata(tmp_path, capsys):
    model, trainer = trained(tmp_path)
    out = tmp_path / "new" / "weights.safetensors"
    assert cli.main(["export", str(tmp_path / "network-itr2.pt"), "-o", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    weights = load_file(out)
    assert set(weights) == set(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(weights[name], value), name
    with safe_open(out, framework="pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["layers"]) == ["input_layers.cells", "output_layers.readout"]
    assert metadata["iteration"] == "2"
    assert json.loads(metadata["metrics"])["train_loss"] == trainer.training_history["train_loss"][2]
    model.load_state_dict(weights)


def test_lists_and_checkpoints_of_the_reference(tmp_path, capsys):
    for path in (GOLDEN / "checkpoints").iterdir():
        shutil.copy(path, tmp_path)
    assert export_checkpoint(tmp_path / "network-checkpoints.json") == tmp_path / "network-itr2.safetensors"
    weights = load_file(tmp_path / "network-itr2.safetensors")
    assert weights["input_layers.input_0._forward_weights"].shape == (2, 3)
    assert cli.main(["export", str(tmp_path / "network-checkpoints.json"), "--which", "last"]) == 0
    assert capsys.readouterr().out.strip().endswith("network-itr2.safetensors")


def test_what_cannot_be_exported_is_one_sentence(tmp_path, capsys, monkeypatch):
    torch.save({"itr": 0}, tmp_path / "empty.pt")
    (tmp_path / "text.pt").write_text("no checkpoint")
    for name in ("empty.pt", "text.pt", "none.pt"):
        assert cli.main(["export", str(tmp_path / name)]) == 1
        error = capsys.readouterr().err
        assert error.startswith("neurotorch export: ")
        assert name in error
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    assert cli.main(["export", str(tmp_path / "empty.pt")]) == 1
    assert 'pip install "neurotorch[export]"' in capsys.readouterr().err
    assert not list(tmp_path.glob("*.safetensors"))
