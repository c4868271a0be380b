"""The picture of an architecture shows what was chosen."""

from types import SimpleNamespace

import numpy as np
import torch

from skmeta.backbones import build_backbone
from skmeta.plotting import ArchitectureDisplay


def test_shares_and_choices_are_drawn():
    network = build_backbone("cells", (3,), {"width": 8})
    alpha = torch.tensor([[0.0, 1, 2, 3, 9], [0.0, 0, 0, 0, 5], [3.0, 0, 0, 0, 0]])
    fitted = SimpleNamespace(architecture_=network.describe(alpha))
    display = ArchitectureDisplay.from_estimator(fitted)
    assert display.operation_names == ["linear", "gated", "residual", "skip", "none"]
    assert display.chosen.tolist() == [3, 4, 0]
    assert np.isnan(display.shares[[0, 2], 4]).all()
    expected = torch.softmax(alpha[1], 0).numpy()
    np.testing.assert_allclose(display.shares[1], expected, rtol=1e-6)
    assert display.marks_.get_offsets().tolist() == [[3, 0], [4, 1], [0, 2]]
    labels = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert labels == ["cell 0: 0 → 1", "cell 0: 0 → 2", "cell 0: 1 → 2"]
    assert display.ax_.get_title() == "104 parameters"
    assert display.plot(display.ax_) is display
