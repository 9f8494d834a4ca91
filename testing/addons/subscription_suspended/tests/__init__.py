from . import test_suspended
