"""Track the requests of one charge, whichever library sends them and whatever the provider's code reports.

The provider's code may wrap an error, swallow it, or retry, but a request without an answer must not go unnoticed.
Requests are therefore recorded where they happen: on the wire, for libraries built on `requests` or on Python's own HTTP
client; otherwise, from the errors being handled when the provider's code reports the charge as failed.

>>> with charging(17) as attempt:
...     attempt.requests += [Request(status=402)]
...     attempt.judge()
<Verdict.DECLINED: 'declined'>
>>> with charging(17) as attempt:
...     attempt.requests += [Request(), Request(status=402)]
...     attempt.judge()
<Verdict.UNKNOWN: 'unknown'>
"""

import http.client
import socket
import sys
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from enum import Enum
from functools import wraps
from typing import Any

import requests
import urllib3

from odoo.exceptions import UserError

# Not a key of Odoo's context, so that it cannot come from outside and ends with the attempt.
_current: ContextVar["Attempt | None"] = ContextVar("charge_attempt", default=None)


class Answer(Enum):
    """The outcome of a request."""

    OPEN = "no clear answer: the request may have been processed"
    READ = "processed"
    REFUSED = "examined and refused"
    NOT_PROCESSED = "not examined"
    UNREACHABLE = "never sent"
    MOVED = "to be sent elsewhere, or processed later"


class Verdict(Enum):
    """The outcome of a charge that the provider's code reports as failed."""

    DECLINED = "declined"
    NOT_PROCESSED = "not processed"
    UNKNOWN = "unknown"


_NOT_PROCESSED = (401, 403, 404, 407, 429)
# Conflicts, and requests that the provider gave up waiting for.
_UNSURE = (408, 409, 423, 424, 425, 499)
_NEVER_SENT = (
    requests.ConnectTimeout,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    ConnectionRefusedError,
    socket.gaierror,
)
_TRANSPORT = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError, EOFError)


# Content of an answer that is read where it cannot be observed.
_UNSEEN = object()


class Request:
    """One request of an attempt."""

    def __init__(self, answer: Answer | None = None, status: int | None = None, connection: Any = None):
        self.answer = answer or (_get_answer(status) if status else Answer.OPEN)
        self.connection = connection
        self.content: Any = _UNSEEN
        # Sent while the answer to an earlier request was being read.
        self.is_inquiry = False

    def is_empty(self) -> bool:
        """Return whether the answer is empty, as far as that can be observed."""
        content = self.content
        if isinstance(content, requests.Response):
            # Accessing an unread body would wait for it.
            content = content._content is False or (content.content or b"").strip()
        return not content

    def is_legible(self) -> bool:
        """Return whether the answer has readable content, not an error page, as far as that can be observed."""
        if self.content is _UNSEEN:
            return False
        if not isinstance(self.content, requests.Response):
            return bool(self.content)
        # Accessing an unread body would wait for it.
        if self.content._content is False:
            return False
        try:
            return self.content.text.lstrip().startswith("<?xml") or bool(self.content.json())
        except ValueError:
            return False


class Attempt:
    """The requests of one charge, and their outcome."""

    def __init__(self, key: Any):
        """Start an attempt.

        :param key: identifies what is charged
        """
        self.key = key
        self.requests: list[Request] = []
        self.verdict: Verdict | None = None
        self._readings = 0
        self._is_broken = False
        # Errors that are already being handled are unrelated to the attempt.
        self._earlier = list(_get_chain(sys.exc_info()[1], ()))

    @property
    def is_unreachable(self) -> bool:
        """Whether the last request could not be sent."""
        return bool(self.requests) and self.requests[-1].answer is Answer.UNREACHABLE

    def add(self, request: Request) -> Request:
        """Record a request and return it."""
        request.is_inquiry = bool(self._readings)
        self.requests.append(request)
        return request

    @contextmanager
    def asking(self) -> Iterator[list]:
        """Record a request, unless a lower level has recorded it; the caller appends the answer to the list yielded."""
        known, contents = len(self.requests), []
        try:
            yield contents
        except Exception as error:
            if len(self.requests) == known:
                answers = [_classify(cause) for cause in _get_chain(error, self._earlier)]
                answers = [answer for answer in answers if answer]
                self.add(Request(Answer.OPEN if not answers or Answer.OPEN in answers else answers[0]))
            elif _classify(error) is Answer.OPEN:
                # The answer broke off after it had started.
                self.requests[-1].answer = Answer.OPEN
            raise
        [content] = contents
        if len(self.requests) == known:
            self.add(Request(status=getattr(content, "status_code", 200)))
        self.requests[-1].content = content

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read the provider's answer to the charge: a failure reported meanwhile was understood from that answer."""
        self._readings += 1
        try:
            yield
        except Exception:
            self._is_broken = True
            raise
        finally:
            self._readings -= 1

    def judge(self) -> Verdict:
        """Return the outcome of an attempt that the provider's code reports as failed; once unknown, always unknown."""
        if self.verdict is not Verdict.UNKNOWN:
            self.verdict = self._judge()
        return self.verdict

    def _judge(self) -> Verdict:
        chain = _get_chain(sys.exc_info()[1], self._earlier)
        # Messages for users are not causes.
        causes = [_classify(cause) for cause in chain if not isinstance(cause, UserError)]
        answers = [request.answer for request in self.requests]
        # The latest error comes first. Errors with a status are already recorded, if any request is.
        unseen = set(Answer) if not self.requests else {Answer.OPEN, Answer.UNREACHABLE}.difference(answers)
        answers += [cause for cause in reversed(causes) if cause in unseen]
        *_before, last = [None, *answers]
        if Answer.OPEN in answers or self._is_broken:
            return Verdict.UNKNOWN
        if answers and set(answers) <= {Answer.NOT_PROCESSED, Answer.UNREACHABLE}:
            return Verdict.NOT_PROCESSED
        if any(request.is_inquiry and request.answer is not Answer.READ for request in self.requests):
            return Verdict.UNKNOWN
        if last is Answer.REFUSED:
            return Verdict.DECLINED
        is_understood = self._readings or (self.requests and self.requests[-1].is_legible())
        if self.requests and self.requests[-1].is_empty():
            # The provider cannot have reported a failure in an empty answer.
            return Verdict.UNKNOWN
        if last in (None, Answer.READ) and is_understood and None not in causes:
            return Verdict.DECLINED
        return Verdict.UNKNOWN


def get_attempt(key: Any = None) -> Attempt | None:
    """Return the current attempt for a key, or for any key by default; None if there is none."""
    attempt = _current.get()
    return attempt if attempt and key in (None, attempt.key) else None


def asking():
    """Return a context manager that records a request; it does nothing outside of an attempt."""
    attempt = _current.get()
    return attempt.asking() if attempt else nullcontext([])


@contextmanager
def charging(key: Any) -> Iterator[Attempt]:
    """Record the requests sent within this context."""
    token = _current.set(attempt := Attempt(key))
    try:
        yield attempt
    finally:
        _current.reset(token)


def _get_answer(status: int) -> Answer:
    """Return the outcome that an HTTP status means."""
    # 202 means that the request will be processed later.
    if status == 202 or 300 <= status < 400:
        return Answer.MOVED
    if 200 <= status < 300:
        return Answer.READ
    if status in _NOT_PROCESSED:
        return Answer.NOT_PROCESSED
    return Answer.REFUSED if 400 <= status < 500 and status not in _UNSURE else Answer.OPEN


def _get_chain(error: BaseException | None, without) -> Iterator[BaseException]:
    """Yield an error and the errors it was raised from or while handling, latest first."""
    seen: list[BaseException] = list(without)
    waiting = [error]
    while waiting:
        error = waiting.pop()
        if error is None or any(error is other for other in seen):
            continue
        seen.append(error)
        yield error
        # The causes of these errors say less than the errors themselves.
        if not isinstance(error, urllib3.exceptions.HTTPError | urllib.error.URLError):
            waiting += [error.__context__, error.__cause__]


def _classify(error: BaseException) -> Answer | None:
    """Return the outcome of the request that an error is about, or None if it is not known."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, urllib.error.HTTPError):
        status = error.code
    if isinstance(status, int):
        return _get_answer(status)
    reason = getattr(error, "reason", None) or getattr(next(iter(error.args), None), "reason", None)
    if isinstance(error, _NEVER_SENT) or isinstance(reason, _NEVER_SENT):
        return Answer.UNREACHABLE
    # `requests` wraps an answer that cannot be parsed in an error of its own, which is still a ValueError.
    is_transport = isinstance(error, _TRANSPORT) and not isinstance(error, ValueError)
    names = [cls.__name__ for cls in type(error).__mro__]
    return Answer.OPEN if is_transport or any("Timeout" in name or "Transport" in name for name in names) else None


def _observe_requests() -> None:
    """Patch `requests` and Python's own HTTP client to record what they send in the current attempt."""

    def observe(cls, name):
        original = getattr(cls, name)

        @wraps(original)
        def send(self, *args, **kwargs):
            with asking() as contents:
                contents.append(response := original(self, *args, **kwargs))
            return response

        setattr(cls, name, send)

    observe(requests.Session, "send")
    observe(requests.adapters.HTTPAdapter, "send")
    end_headers, get_response = http.client.HTTPConnection.endheaders, http.client.HTTPConnection.getresponse

    @wraps(end_headers)
    def endheaders(self, *args, **kwargs):
        attempt = _current.get()
        request = attempt and attempt.add(Request(connection=self))
        try:
            return end_headers(self, *args, **kwargs)
        except Exception:
            if request and self.sock is None:
                request.answer = Answer.UNREACHABLE
            raise

    @wraps(get_response)
    def getresponse(self, *args, **kwargs):
        response = get_response(self, *args, **kwargs)
        attempt = _current.get()
        for request in attempt.requests[::-1] if attempt else ():
            if request.connection is self:
                request.answer = _get_answer(response.status)
                break
        return response

    http.client.HTTPConnection.endheaders = endheaders
    http.client.HTTPConnection.getresponse = getresponse


_observe_requests()
