"""
Sweep over a parameter
======================

Several settings at a time, as a table to look at and to publish, with the best one at hand.
"""

# %%
# The regularization rate of the well-known tutorial is scikit-learn's ``1 / C``. All combinations of a grid are tried;
# a run that fails stops none of the others.

from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer
from mnistkit.plots import sweep_curve

trainer = Trainer.local(data="digits", experiment="gallery-sweep")
rates = [0.01, 0.1, 1, 10, 100]
sweep = trainer.sweep(LogisticRegression(tol=1e-3), {"C": [1 / rate for rate in rates]})
sweep

# %%
# As a curve, with the best one marked:

sweep_curve(sweep)

# %%
# The best by accuracy on the test images; of equal ones the earliest.

best = sweep.best("accuracy")
print(best.metrics)
