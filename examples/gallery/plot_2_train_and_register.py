"""
Train, look, register
=====================

The shortest way from images to a registered model that can be loaded again.
"""

# %%
# A `Trainer` knows where data comes from, where code runs and where models live. ``local`` is this machine, with
# nothing to set up. A dataset as the last line of a cell shows itself.

from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer
from mnistkit.plots import sample_grid

trainer = Trainer.local(data="digits", experiment="gallery")
data = trainer.dataset()
data

# %%
# Thirty of the images, chosen at random, with their labels. The same seed chooses the same ones.

sample_grid(data, n=30, seed=1)

# %%
# ``train`` takes any scikit-learn classifier or pipeline, fits it in a process of its own, measures it on the test
# images and keeps a record: the states that it went through, metrics, log and files.

run = trainer.train(LogisticRegression(C=2, tol=1e-3))
run

# %%
# Registering copies what the run left into an immutable, numbered version.

model = trainer.register(run, "digits")
model

# %%
# It is verified against its manifest before it is loaded, and nothing is unpickled.

classifier = trainer.load("digits")
print("the digits are     ", *data.test.y[:10])
print("the classifier says", *classifier.predict(data.test.X()[:10]))
