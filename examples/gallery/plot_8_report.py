"""
A run as one file
=================

Where did the time go, and how to show all of it to somebody else.
"""

# %%
# A run was waiting, had its data made ready, trained, and kept what it left:

from pathlib import Path
from tempfile import mkdtemp

from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer
from mnistkit.plots import timeline

trainer = Trainer.local(data="digits", experiment="gallery-report")
run = trainer.train(LogisticRegression(C=2, tol=1e-3))
timeline(run)

# %%
# A report is all that is known of a run as one HTML file, which loads nothing and runs nothing. This is one:

trainer.report(run, Path(mkdtemp()) / "report.html")
