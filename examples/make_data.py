"""Makes `data.csv`, the 100 points of `linear_regression_csv.py`: x in 0..100, y in 0..150, about y = 1.3 x + 10.

Run: python examples/make_data.py
"""

import os

import numpy as np

rng = np.random.RandomState(0)

x = rng.uniform(0, 100, 100)
y = np.clip(1.3 * x + 10 + rng.normal(0, 10, 100), 0, 150)

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data.csv")
np.savetxt(path, np.column_stack([x, y]), fmt="%.4f", delimiter=",", header="x,y", comments="")
