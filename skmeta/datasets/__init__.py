"""Bundled data, folders of images, and a generator of synthetic tasks."""

from skmeta.datasets._image_folder import load_image_tasks
from skmeta.datasets._omniglot import load_omniglot
from skmeta.datasets._sinusoid import make_sinusoid_tasks

__all__ = ["load_image_tasks", "load_omniglot", "make_sinusoid_tasks"]
