"""
What has it learnt?
===================

A linear classifier has one weight per pixel and class, so that it can be looked at. The regularization rate decides
what is to be seen.
"""

# %%
# With little regularization single pixels get large weights, whichever set a few training images apart.

from mnistkit import Trainer
from mnistkit.estimators import FastLogisticRegression
from mnistkit.plots import sweep_curve, weights

trainer = Trainer.local(data="digits", experiment="gallery-weights")
data = trainer.dataset()
sweep = trainer.sweep(FastLogisticRegression(), {"C": [1 / rate for rate in (0.01, 1, 100)]})
loose, middling, strict = (trainer.load(trainer.register(run, "digits").id) for run in sweep)
weights(loose, data)

# %%
# With more of it the weights are small and smooth, and begin to look like digits.

weights(strict, data)

# %%
# Which of them reads best is another question.

sweep_curve(sweep)
