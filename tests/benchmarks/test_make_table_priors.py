"""Meta-training of the table priors, on a tiny network."""

import pytest
import torch

from benchmarks.make import table_priors as make
from skmeta._training import load_checkpoint, save_checkpoint


def start(kind="classification", **changes):
    tiny = {"width": 16, "n_layers": 1, "optimizer": "muon", "warm_up": 2, "n_query": 6}
    tiny |= {"cost": 2000, "most_tasks": 4, "largest_support": 12, "most_columns": 4}
    return make.Run(make.Config(kind, **tiny | changes))


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_run_goes_on_from_its_checkpoint_to_the_bit(kind, tmp_path):
    whole, first, second = (start(kind) for _ in range(3))
    for _ in range(4):
        whole.step()
    for _ in range(2):
        first.step()
    save_checkpoint(tmp_path / "run", "tiny", first.saved())
    second.restore(load_checkpoint(tmp_path / "run", "tiny"))
    for _ in range(2):
        second.step()
    assert (second.iteration, second.n_tasks) == (whole.iteration, whole.n_tasks)
    for name, value in whole.network.named_parameters():
        assert torch.equal(dict(second.network.named_parameters())[name], value)
        assert torch.equal(second.average[name], whole.average[name])
        assert not torch.equal(dict(first.network.named_parameters())[name], value)
