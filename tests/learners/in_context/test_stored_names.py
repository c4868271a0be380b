"""Each tensor of a transformer has a name of its own in a file."""

from skmeta.learners import InContextLearner
from skmeta.learners.in_context._stored_names import from_stored_name, to_stored_name


def test_each_parameter_has_a_stored_name_of_its_own():
    for kind in ("classification", "regression"):
        network = InContextLearner(width=8, n_layers=2, n_heads=2, cell_width=4).make_network(kind)
        names = [name for name, _ in network.named_parameters()]
        stored = [to_stored_name(name) for name in names]
        assert len(set(stored)) == len(names)
        assert [from_stored_name(name) for name in stored] == names
    assert to_stored_name("blocks.3.feed_forward_out.bias") == "blocks.3.shrink.bias"
