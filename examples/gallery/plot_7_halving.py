"""
Give up early on what is hopeless
=================================

Successive halving trains all combinations on few images, the best third of them on three times as many, and so on.
"""

# %%
# Nine regularization strengths: nine runs on 100 images, three on 300, one on 900.

from sklearn.linear_model import LogisticRegression

from mnistkit import Halving, Trainer
from mnistkit.plots import learning_curve

trainer = Trainer.local(data="digits", experiment="gallery-halving")
grid = {"C": [10.0**k for k in range(-5, 4)]}
sweep = trainer.sweep(LogisticRegression(tol=1e-3), grid, halving=Halving(factor=3, min_limit=100))
learning_curve(sweep)

# %%
# The last rung has all the images, and the best is chosen there.

print(sweep.best().metrics)
