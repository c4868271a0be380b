"""Sinusoids, characters, learned optimizers, policies, and the cost of a meta-iteration."""

from itertools import product
from typing import Any

import numpy as np

from benchmarks.lib.intervals import normal_interval
from benchmarks.lib.resumable import RESULTS, lines_by_cell, read_lines, read_records
from benchmarks.measure.architectures import summarize
from benchmarks.tables._pages import Rows, interval, number, plus_minus, table


@table("sinusoid")
def sinusoid() -> Rows:
    records = read_records(RESULTS / "sinusoid.json")
    labels = {
        "maml-paper": "MAML, the paper's settings (70,000 iterations)",
        "maml": "MAML (40,000 iterations)",
        "metasgd": "Meta-SGD (40,000 iterations)",
        "pretrained": "pretrained network",
    }
    rows: Rows = [["method", "1 step", "5 steps", "10 steps"]]
    for name, label in labels.items():
        rows.append([label, *(plus_minus(records[name][f"mse_{k}"]) for k in (1, 5, 10))])
    published = ["MAML", 0.67, 0.38, 0.35], ["pretrained network", 2.41, 2.23, 2.19]
    return [*rows, *([f"published: {name}", *errors] for name, *errors in published)]


@table("defaults")
def defaults() -> Rows:
    keys = ("5/1", "5/10", "10/1", "10/10")
    rows: Rows = [["learner", "seconds", *(key.replace("/", ", ") for key in keys)]]
    by_learner: dict[str, list[Any]] = {}
    for line in read_lines(RESULTS / "defaults.jsonl"):
        if line["tasks"] == "new" and not line["settings"]:
            by_learner.setdefault(line["learner"], []).append(line)
    for name, runs in by_learner.items():
        errors = [f"{np.mean([run['errors'][key] for run in runs]):.2f}" for key in keys]
        rows.append([name, f"{np.mean([run['seconds'] for run in runs]):.1f}", *errors])
    return rows


@table("equal seconds")
def equal_seconds() -> Rows:
    """MAML and ANIL at equal seconds: errors of new tasks by what the meta-gradient learns."""
    points = [f"{n} points, {steps}" for n in (5, 10) for steps in ("own", "10")]
    rows: Rows = [["what is learned", *points, "letters, own", "letters, 10"]]
    rows[0] += ["chess", "digits", "pupils"]
    errors: dict[tuple[str, str], dict[str, list[list[float]]]] = {}
    for record in read_lines(RESULTS / "equal_seconds.jsonl"):
        tasks, learner, learned, _ = record["cell"]
        runs = errors.setdefault((learner, learned), {})
        runs.setdefault(tasks, []).append(list(record["error"].values()))
    # Errors that are shown, and their digits.
    shown = {"sinusoids": (4, 2), "letter": (2, 1), "krkopt": (1, 1), "digits": (1, 1)}
    shown["schools"] = 1, 2
    for (learner, learned), runs in sorted(errors.items(), key=lambda item: item[0][0] != "MAML"):
        cells = []
        for tasks, (n, digits) in shown.items():
            means = np.mean(runs[tasks], 0) if tasks in runs else [None] * n
            cells += [number(e, digits) for e in means[:n]]
        what = learned.replace(": tensor", ", by tensor").removesuffix(": scalar")
        rows.append([f"{learner}, {what}", *cells])
    return rows


@table("methods")
def methods() -> Rows:
    """The methods of README, each with its page and a figure."""
    tables = defaults(), omniglot("papers"), omniglot_random_weights("papers")
    small, characters, others, losses = (
        {row[0]: row[1:] for row in rows} for rows in (*tables, learned_optimizers())
    )
    networks = summarize(lines_by_cell(RESULTS / "architectures.jsonl"))

    def error(name: str) -> list[str]:
        return [f"error {small[name][2]}", f"{float(small[name][0]):.0f} s"]

    def accuracy(score: str, minutes: str) -> list[str]:
        return [f"accuracy {score.partition(' ')[0]}%", f"{float(minutes.split()[-1]):.0f} min"]

    found, fixed = (f"{networks[arm]['evaluation'][0]:.1f}%" for arm in ("metanas", "conv4"))
    metanas = [f"accuracy {found}; fixed network {fixed}"]
    metanas.append(f"{networks['metanas']['seconds']:.0f} s")
    trained = read_records(RESULTS / "learned_optimizers.json")["learned"]
    optimizer = [f"loss {losses['learned'][0]} after 20 steps; tuned Adam {losses['Adam'][0]}"]
    optimizer.append(f"{trained['seconds'] / 60:.0f} min")
    lstm = accuracy(others["LSTM meta-learner"][3], others["LSTM meta-learner"][-1])
    protonet = accuracy(characters["ProtoNet"][0], characters["ProtoNet"][-1])
    lme4 = ["estimates of lme4", "closed form"]
    rows = [
        ("MAML", "maml", "initial weights", error("MAML")),
        ("first-order MAML", "maml", "the same, by first derivatives", error("first-order MAML")),
        ("ANIL", "anil", "features; a task adapts the last layer", error("ANIL")),
        ("Meta-SGD", "meta_sgd", "initial weights and step sizes", error("Meta-SGD")),
        ("Reptile", "reptile", "initial weights, by averages", error("Reptile")),
        ("LSTM meta-learner", "lstm", "initial weights and an update rule", lstm),
        ("ProtoNet", "protonet", "an embedding", protonet),
        ("MetaNAS", "metanas", "weights and architecture", metanas),
        ("learned optimizer", "learned_optimizer", "an optimizer", optimizer),
        ("mixed effects, ALPaCA", "mixed_effects", "the distribution of coefficients", lme4),
    ]
    header = ["method", "it learns", "measured", "meta-training, one core"]
    links = [(f"`{name} <doc/methods/{page}.rst>`__", *row) for name, page, *row in rows]
    return [header, *([link, what, *cells] for link, what, cells in links)]


# Of 20 classes, but for the LSTM of 5, as in its paper.
RANDOM_WEIGHTS = {
    "maml": "MAML",
    "fomaml": "first-order MAML",
    "anil": "ANIL",
    "metasgd": "Meta-SGD",
    "reptile": "Reptile",
    "lstm": "LSTM meta-learner",
}


@table("omniglot_random_weights source", "omniglot_random_weights papers")
def omniglot_random_weights(protocol: str) -> Rows:
    """Learners from random weights: the longest run of each seed."""
    seeds = range(3)
    rows: Rows = [["learner", *(f"seed {seed}" for seed in seeds), "mean", "transductive"]]
    rows[0] += ["5-way 5-shot", "iterations", "minutes of one core"]
    runs: dict[tuple[str, int], Any] = {}
    for line in read_lines(RESULTS / "omniglot.jsonl"):
        settings = line.get("settings", {})
        is_plain = not line.get("start") and "test_steps" not in line
        is_chosen = line["protocol"] == protocol and is_plain
        has_ways = settings.get("n_way") == 20 or line["learner"] == "lstm"
        has_settings = settings.get("backbone_params") == {"n_channels": 32} and has_ways
        if is_chosen and has_settings and line["learner"] in RANDOM_WEIGHTS:
            of = line["learner"], line["seed"]
            runs[of] = max(line, runs.get(of, line), key=lambda run: run["iterations"])
    labels = {name: label for name, label in RANDOM_WEIGHTS.items() if (name, 0) in runs}
    for name, label in labels.items():
        each = [runs[name, seed] for seed in seeds if (name, seed) in runs]
        scores = [number(run["5-way 1-shot inductive"][0], 1) for run in each]
        scores += [None] * (len(seeds) - len(each))
        for mode in ("1-shot inductive", "1-shot transductive", "5-shot inductive"):
            found = [run[f"5-way {mode}"][0] for run in each if f"5-way {mode}" in run]
            scores.append(number(float(np.mean(found)), 1) if found else None)
        iterations, minutes = ([run[key] for run in each] for key in ("iterations", "cpu_minutes"))
        ends = [" to ".join(f"{n:,}" for n in sorted({min(iterations), max(iterations)}))]
        ends += [" to ".join(f"{n:.1f}" for n in sorted({min(minutes), max(minutes)}))]
        rows.append([label, *scores, *ends])
    return rows


@table("learned_optimizers")
def learned_optimizers() -> Rows:
    records = read_records(RESULTS / "learned_optimizers.json")
    labels = {
        "learned": "learned",
        "adam": "Adam",
        "adam, best": "Adam, best for each new network",
        "adam_cosine": "Adam along a cosine",
        "momentum": "SGD with momentum 0.9",
    }
    steps = (20, 50, 100)
    rows: Rows = [["optimizer", *(f"{n} steps" for n in steps), *(f"ratio, {n}" for n in steps)]]
    for name, label in labels.items():
        record = records["report"][name]
        ratios = [
            "" if name == "learned" else interval(*record[f"ratio_{n}"], digits=2) for n in steps
        ]
        rows.append([label, *(f"{loss:.3f}" for loss in record["loss"]), *ratios])
    return rows


@table("policy")
def policy() -> Rows:
    runs = read_records(RESULTS / "policy.json")
    methods = {"maml": "PolicyMAML", "pretrained": "one policy for all", "scratch": "from scratch"}
    rows: Rows = [["method, actions", "before", "1 update", "2 updates", "3 updates"]]
    for (method, label), actions in product(methods.items(), ("drawn", "likely")):
        own = [run for key, run in runs.items() if key.startswith(f"point {method} ")]
        values = np.concatenate([np.array(run["returns"][actions]) for run in own], axis=1)
        cells = [plus_minus(normal_interval(row), 1) for row in values]
        rows.append([f"{label}, {actions}", *cells])
    return rows


# Positions of lines in ``omniglot.jsonl``; lines of one row have different tests.
CHARACTERS: dict[str, dict[str, tuple[int, ...]]] = {
    "papers": {
        "ProtoNet, eight views": (75, 77),
        "ProtoNet": (62,),
        "MAML, started from ProtoNet, eight views": (83,),
        "MAML, started from ProtoNet": (82,),
        "first-order MAML, started from ProtoNet": (78,),
        "ANIL, started from ProtoNet": (79,),
        "Meta-SGD, started from ProtoNet": (80,),
        "Reptile, started from ProtoNet": (87,),
    },
    "alphabets": {
        "12,000 iterations, 60-way, gray, mirrored, affine": (64,),
        "21,000 more on tasks of one alphabet (``--within``)": (72,),
        "the same with eight views of a task": (81,),
    },
    "mamlpp": {
        "MAML, one learned row per class, as in the papers": (44,),
        "MAML++, one learned row per class": (46,),
        "MAML, from prototypes, the default": (22,),
        "MAML++, from prototypes": (21,),
    },
}
PUBLISHED = (
    ("ProtoNet", 98.8, 99.7, 96.0),
    ("MAML", 98.7, 99.9, 95.8),
    ("Reptile", 97.68, 99.48, 89.43),
    ("Meta-SGD", 99.53, 99.93, None),
)


@table(*(f"omniglot {which}" for which in CHARACTERS))
def omniglot(which: str) -> Rows:
    lines = read_lines(RESULTS / "omniglot.jsonl")
    tests = ["5-way 1-shot", "5-way 5-shot", "20-way 1-shot"]
    tests = {"papers": tests, "alphabets": tests[::-2]}.get(which, tests[:1])
    rows: Rows = [["method", *tests, "minutes of one core"]]
    for label, positions in CHARACTERS[which].items():
        records = {key: value for k in positions for key, value in lines[k].items()}
        scores = [records.get(f"{test} inductive") for test in tests]
        if which == "alphabets":
            scores = [(100 - mean, half_width) for mean, half_width in scores]
        minutes = records.get("cpu_minutes", records.get("minutes", np.nan))
        rows.append([label, *(plus_minus(score, 1) for score in scores), number(minutes, 1)])
    if which == "papers":
        rows += [[f"published: {name}", *scores, None] for name, *scores in PUBLISHED]
    return rows


@table("architectures")
def architectures() -> Rows:
    means = summarize(lines_by_cell(RESULTS / "architectures.jsonl"))
    labels = {
        "metanas": "MetaNAS",
        "conv4": "``conv4``, first-order MAML",
        "exact": "``conv4``, MAML",
        "random": "random networks, first-order MAML",
    }
    rows: Rows = [["method", "parameters", "iterations", "development", "new alphabets"]]
    rows[0] += ["over ``conv4``, development", "over ``conv4``, new alphabets"]
    for arm, label in labels.items():
        own = means[arm]
        sizes = [f"{n:,}" for n in sorted(set(own["parameters"]))]
        scores = [own[name] for name in ("development", "evaluation")]
        gains = [plus_minus(score[1:], 1) if arm != "conv4" else None for score in scores]
        row = [label, " to ".join(sizes[:: max(1, len(sizes) - 1)]), number(own["iterations"], 0)]
        rows.append([*row, *(number(score[0], 1) for score in scores), *gains])
    return rows


@table("omniglot source")
def omniglot_source() -> Rows:
    lines = read_lines(RESULTS / "omniglot.jsonl")
    positions = {
        "ProtoNet": (66, 67, 70),
        "ProtoNet, eight views of a task": (73, 74, 76),
        "MAML, started from that ProtoNet": (68, 69, 71),
    }
    rows: Rows = [["method", *(f"seed {k}" for k in range(3)), "mean"]]
    for label, at in positions.items():
        scores = [lines[k]["5-way 1-shot inductive"][0] for k in at]
        rows.append([label, *(number(score, 1) for score in (*scores, np.mean(scores)))])
    return rows


@table("speed")
def speed() -> Rows:
    records = read_records(RESULTS / "speed.json")
    labels = {
        "skmeta": "skmeta, transductive",
        "skmeta inductive": "skmeta, inductive (the default)",
        "skmeta inductive bfloat16": "skmeta, inductive, bfloat16",
        "higher": "higher",
        "torchopt": "torchopt",
        "torch.func": "torch.func and vmap",
        "torch.compile": "the same, torch.compile",
        "jax": "JAX, vmap and jit",
    }
    rows: Rows = [["package", "conv4, milliseconds", "over skmeta", "conv4, memory added"]]
    rows[0] += ["mlp, milliseconds", "over skmeta"]
    for method, label in labels.items():
        conv4, mlp = (records[network].get(method) for network in ("conv4", "mlp"))
        cells = ["", "", ""]
        if conv4 is not None:
            cells = [number(conv4["milliseconds"], 0), number(conv4["time_over_skmeta"], 2)]
            cells.append(f"{conv4['memory_added_mb']:.0f} MB")
        cells += [number(mlp["milliseconds"], 2), number(mlp["time_over_skmeta"], 2)]
        rows.append([label, *cells])
    return rows
