"""
Is it better, or is it luck?
============================

Two classifiers are asked for the same images. What counts are those that only one of them reads correctly.
"""

# %%
# A linear classifier, and one that isn't.

from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from mnistkit import Trainer
from mnistkit.plots import prediction_grid

trainer = Trainer.local(data="digits", experiment="gallery-compare")
linear = trainer.train(LogisticRegression(C=2, tol=1e-3))
curved = trainer.train(SVC(C=10))
print(trainer.compare(linear, curved))

# %%
# What the better one takes thirty test images for:

prediction_grid(curved, n=30, seed=1)
