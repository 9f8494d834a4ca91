from . import test_minimum_term
