"""The figures of the examples: each is saved in the folder `plots/`, and shown where there is a screen."""

import os

import matplotlib.pyplot as plt

FOLDER = "plots"


def on_screen():
    """Whether the current figure has a window: without a screen Matplotlib falls back on a backend that has none."""
    return plt.gcf().canvas.required_interactive_framework is not None


def redraw(name=None):
    """Show the current figure as it is by now and go on; with a name, also save it as `plots/name.png`."""
    if name is not None:
        os.makedirs(FOLDER, exist_ok=True)
        plt.savefig(os.path.join(FOLDER, f"{name}.png"), dpi=100)
    if on_screen():
        plt.pause(0.1)


def save(name):
    """Save the current figure as `plots/name.png`, show it until its window is closed, and be done with it."""
    redraw(name)
    if on_screen():
        plt.show()
    plt.close()
