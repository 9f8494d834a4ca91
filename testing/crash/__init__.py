REFUSED = 3
"""How a run ends in which a person was refused, by a sentence."""
