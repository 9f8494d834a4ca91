from . import portal, portal_closing, portal_renewal, portal_subscription, public_closing, retention
