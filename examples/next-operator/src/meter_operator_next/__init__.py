"""The version of the operator that comes next: the stock operator with a newer template of pods.

Nothing is copied: this package lies over the stock operator in an image of its own. What its
template makes different must reach no twin that runs (a newer operator touches none), only those
that are made from then on.
"""

__version__ = "next"
