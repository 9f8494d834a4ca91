"""How provider addons talk to their providers, and what they do without an answer.

Each function posts data and returns the answer, or None when it has recorded the missing answer itself. All of
these patterns exist in addons in use; those that call none of Odoo's own methods are the most frequent.
"""

import json
import urllib.request

import requests

from odoo.exceptions import ValidationError

from .models.payment_provider import get_patience, get_url


def _ask(path, data):
    """Send the request with `requests`, as a program unaware of Odoo does."""
    response = requests.post(get_url(path), json=data, timeout=get_patience())
    response.raise_for_status()
    return response.json()


def by_transaction(transaction, path, data):
    """Leave everything to Odoo."""
    return transaction._send_api_request("POST", path, json=data)


def by_transaction_caught(transaction, path, data):
    """Record the error that Odoo raises."""
    try:
        return by_transaction(transaction, path, data)
    except ValidationError as error:
        transaction._set_error(str(error))
    return None


def by_provider(transaction, path, data):
    """Send the request by the provider record, which does not know the transaction."""
    return transaction.provider_id._send_api_request("POST", path, json=data)


def by_provider_caught(transaction, path, data):
    """The same, recording the error."""
    try:
        return by_provider(transaction, path, data)
    except ValidationError as error:
        transaction._set_error(str(error))
    return None


def raw(_transaction, path, data):
    """Propagate errors of `requests`."""
    return _ask(path, data)


def wrapped(_transaction, path, data):
    """Turn the error into a message."""
    try:
        return _ask(path, data)
    except requests.RequestException as error:
        raise ValidationError(f"No connection: {error}") from error


def wrapped_twice(transaction, path, data):
    """Turn the error into a custom error, and that into a message."""
    try:
        try:
            return _ask(path, data)
        except requests.RequestException as error:
            raise RuntimeError("The client failed") from error
    except RuntimeError as error:
        raise ValidationError(f"No connection for {transaction.reference}: {error}") from None


def from_none(_transaction, path, data):
    """Turn the error into a message, and hide the error."""
    try:
        return _ask(path, data)
    except requests.RequestException as error:
        raise ValidationError(f"No connection: {error}") from None


def raised_after(_transaction, path, data):
    """Raise after the error has been handled: nothing links the two."""
    answer = _try(path, data)
    if "failure" in answer:
        raise ValidationError(answer["failure"])
    return answer


def set_within(transaction, path, data):
    """Record the error where it is caught."""
    try:
        return _ask(path, data)
    except requests.RequestException as error:
        transaction._set_error(f"No connection: {error}")
    return None


def set_after(transaction, path, data):
    """Record the error after it has been handled."""
    answer = _try(path, data)
    if "failure" in answer:
        transaction._set_error(answer["failure"])
        return None
    return answer


def processed(_transaction, path, data):
    """Turn the error into an answer, as if the provider had sent it."""
    answer = _try(path, data)
    if "failure" in answer:
        return {**data, "status": "error", "message": answer["failure"], "provider_reference": ""}
    return answer


def session(_transaction, path, data):
    """Send the request in a session of `requests`, and turn the error into a message afterwards."""
    failure = ""
    with requests.Session() as client:
        try:
            response = client.post(get_url(path), json=data, timeout=get_patience())
            response.raise_for_status()
            return response.json()
        except requests.RequestException as error:
            failure = str(error)
    raise ValidationError(failure)


def urllib_wrapped(_transaction, path, data):
    """Send the request without `requests`."""
    try:
        request = urllib.request.Request(get_url(path), json.dumps(data).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=get_patience()) as response:
            return json.loads(response.read())
    except OSError as error:
        raise ValidationError(f"No connection: {error}") from None


def _try(path, data):
    try:
        return _ask(path, data)
    except requests.RequestException as error:
        return {"failure": str(error)}


WAYS = {
    "": by_transaction,
    "caught": by_transaction_caught,
    "provider": by_provider,
    "provider-caught": by_provider_caught,
    "raw": raw,
    "wrapped": wrapped,
    "wrapped-twice": wrapped_twice,
    "from-none": from_none,
    "raised-after": raised_after,
    "set-within": set_within,
    "set-after": set_after,
    "processed": processed,
    "session": session,
    "urllib": urllib_wrapped,
}
"""By the part of a card's token after its plus."""
