from . import test_seams, test_suspended
