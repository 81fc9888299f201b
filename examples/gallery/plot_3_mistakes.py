"""
What does it get wrong?
=======================

Accuracy is one number. These pictures say which digits are mistaken for which, show the mistakes, and tell whether the
classifier knows when it doesn't know.
"""

# %%
# A classifier to look at, trained on a hundred images only, so that there is something to see.

from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer
from mnistkit.plots import confusion, misclassified, prediction_grid, reliability

trainer = Trainer.local(data="digits", experiment="gallery-mistakes")
data = trainer.dataset()
run = trainer.train(LogisticRegression(C=2, tol=1e-3), limit=100)
evaluation = trainer.evaluate(run)
low, high = evaluation.interval()
print(f"{evaluation.accuracy:.1%} of {evaluation.n} test images are right; 95 % interval {low:.1%} to {high:.1%}")

# %%
# Rows are the true digits, columns what they were taken for. First the counts.

confusion(evaluation)

# %%
# Then the mistakes alone, as shares of each row: the diagonal is left blank.

confusion(evaluation, errors=True)

# %%
# The mistakes themselves, those with the highest confidence first. Above each: the predicted class, the true class, and
# the confidence.

misclassified(run, data, n=20)

# %%
# Among thirty images chosen at random, the wrong ones are inverted and in red.

prediction_grid(run, data, n=30, seed=3)

# %%
# Of all answers that it gave with 80 % confidence, 80 % should be right: points on the diagonal.

reliability(run, data)
