"""
Look at a dataset
=================

What is in it, whether its classes are balanced, and what the images of a class have in common.
"""

# %%
# ``load_dataset`` takes a name or a uri, such as ``"idx:FOLDER"`` for four IDX files of your own.

from mnistkit import load_dataset
from mnistkit.plots import class_balance, mean_images, sample_grid

data = load_dataset("digits")
sample_grid(data, n=30, seed=7)

# %%
# A class that is rare, or rarer among the test images than among the others, would be seen here.

class_balance(data)

# %%
# The mean of all images of a class: sharp where they agree, grey where they don't.

# sphinx_gallery_thumbnail_number = 3
mean_images(data)

# %%
# The arrays behind it, as scikit-learn takes them, and as Keras has them.

X, y = data.train.X(), data.train.y
print(X.shape, X.dtype, X.min(), X.max(), y.shape, y.dtype)
(images, labels), _ = data.arrays()
print(images.shape, images.dtype, labels.shape, labels.dtype)
