from . import portal, retention
