from . import portal, portal_closing, portal_subscription, retention
