"""Two experiments with several grouping factors, as the R package lme4 (GPL >= 2) has them.

Davies and Goldsmith (1972), Statistical methods in research and production, sections 6.5 and 6.6:
the strength of a chemical paste, twice for each of three casks of ten batches, and the diameter of
the area without growth of bacteria, for each of six samples of penicillin on 24 plates.
"""

import numpy as np

_PASTES = """\
A 62.8 62.6 60.1 62.3 62.7 63.1
B 60 61.4 57.5 56.9 61.1 58.9
C 58.7 57.5 63.9 63.1 65.4 63.7
D 57.1 56.4 56.9 58.6 64.7 64.5
E 55.1 55.1 54.7 54.2 58.8 57.5
F 63.4 64.9 59.3 58.1 60.5 60
G 62.5 62.6 61 58.7 56.9 57.7
H 59.2 59.4 65.2 66 64.8 64.1
I 54.8 54.8 64 64 57.7 56.8
J 58.3 59.3 59.2 59.2 58.9 56.6
"""
_PENICILLIN = """\
a 27 23 26 23 23 21
b 27 23 26 23 23 21
c 25 21 25 24 24 20
d 26 23 25 23 23 20
e 25 22 26 22 23 20
f 24 22 25 23 22 19
g 24 20 23 21 22 19
h 26 22 26 24 24 21
i 24 21 24 22 22 20
j 24 21 24 23 22 19
k 26 23 26 24 24 21
l 25 22 26 24 24 20
m 26 24 26 24 25 22
n 26 23 26 23 23 20
o 26 23 25 24 24 22
p 25 22 25 23 23 20
q 25 21 24 23 23 20
r 25 22 24 23 23 19
s 24 21 23 21 21 19
t 26 23 26 24 24 21
u 25 21 24 22 22 18
v 25 22 25 22 22 20
w 24 21 24 22 24 19
x 24 21 24 22 21 18
"""


def _values(text):
    return np.array([line.split()[1:] for line in text.splitlines()], float)


def load_pastes():
    """Strengths (60,), and batch and cask (60, 2); casks are numbered throughout."""
    casks = np.repeat(np.arange(30), 2)
    return _values(_PASTES).ravel(), np.column_stack([casks // 3, casks])


def load_penicillin():
    """Diameters (144,), and plate and sample (144, 2)."""
    plates, samples = np.divmod(np.arange(144), 6)
    return _values(_PENICILLIN).ravel(), np.column_stack([plates, samples])
