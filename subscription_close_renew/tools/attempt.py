"""What is known of the requests of one charge, whichever library sends them and whatever the provider's code tells.

A provider's code may wrap an error, swallow it, or retry: that a request was left without an answer must not get lost.
So it is noted where it happens: on the wire, for whatever is built on `requests` or on Python's own HTTP client; and
else in the errors that are being handled while the provider's code calls the charge a failure.

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

# Not a key of Odoo's context: it cannot come from outside, and ends with the attempt.
_current: ContextVar["Attempt | None"] = ContextVar("charge_attempt", default=None)


class Answer(Enum):
    """What a request came to."""

    OPEN = "no clear answer: it may have been carried out"
    READ = "carried out"
    REFUSED = "looked at, and refused"
    NOT_PROCESSED = "not looked at at all"
    UNREACHABLE = "never sent"
    MOVED = "to be sent elsewhere, or carried out later"


class Verdict(Enum):
    """What a charge came to that the provider's code calls a failure."""

    DECLINED = "declined"
    NOT_PROCESSED = "not processed"
    UNKNOWN = "unknown"


_NOT_PROCESSED = (401, 403, 404, 407, 429)
# Conflicts, and what the provider gave up waiting for.
_UNSURE = (408, 409, 423, 424, 425, 499)
_NEVER_SENT = (
    requests.ConnectTimeout,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    ConnectionRefusedError,
    socket.gaierror,
)
_TRANSPORT = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError, EOFError)


# Of an answer that is read where it cannot be observed.
_UNSEEN = object()


class Request:
    """One request of an attempt."""

    def __init__(self, answer: Answer | None = None, status: int | None = None, connection: Any = None):
        self.answer = answer or (_get_answer(status) if status else Answer.OPEN)
        self.connection = connection
        self.content: Any = _UNSEEN
        # Asked for while the answer to an earlier one was being read.
        self.is_inquiry = False

    def is_empty(self) -> bool:
        """Return whether the answer says nothing at all, as far as that can be seen."""
        content = self.content
        if isinstance(content, requests.Response):
            # A body that was not read yet would be waited for.
            content = content._content is False or (content.content or b"").strip()
        return not content

    def is_legible(self) -> bool:
        """Return whether the answer says something, as far as that can be seen: no error page, and not nothing."""
        if self.content is _UNSEEN:
            return False
        if not isinstance(self.content, requests.Response):
            return bool(self.content)
        # A body that was not read yet would be waited for.
        if self.content._content is False:
            return False
        try:
            return self.content.text.lstrip().startswith("<?xml") or bool(self.content.json())
        except ValueError:
            return False


class Attempt:
    """What is known of the requests of one charge."""

    def __init__(self, key: Any):
        """Begin an attempt.

        :param key: what is charged
        """
        self.key = key
        self.requests: list[Request] = []
        self.verdict: Verdict | None = None
        self._readings = 0
        self._is_broken = False
        # What is being handled already has nothing to do with it.
        self._earlier = list(_get_chain(sys.exc_info()[1], ()))

    @property
    def is_unreachable(self) -> bool:
        """Whether the last request could not even be sent."""
        return bool(self.requests) and self.requests[-1].answer is Answer.UNREACHABLE

    def add(self, request: Request) -> Request:
        """Note a request, and return it."""
        request.is_inquiry = bool(self._readings)
        self.requests.append(request)
        return request

    @contextmanager
    def asking(self) -> Iterator[list]:
        """Note a request unless it was noted on a lower level; what it was answered is to be put into the list."""
        known, contents = len(self.requests), []
        try:
            yield contents
        except Exception as error:
            if len(self.requests) == known:
                answers = [_classify(cause) for cause in _get_chain(error, self._earlier)]
                answers = [answer for answer in answers if answer]
                self.add(Request(Answer.OPEN if not answers or Answer.OPEN in answers else answers[0]))
            elif _classify(error) is Answer.OPEN:
                # The answer broke off after it had begun.
                self.requests[-1].answer = Answer.OPEN
            raise
        [content] = contents
        if len(self.requests) == known:
            self.add(Request(status=getattr(content, "status_code", 200)))
        self.requests[-1].content = content

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read what the provider says of the charge: what is called a failure meanwhile was understood as one."""
        self._readings += 1
        try:
            yield
        except Exception:
            self._is_broken = True
            raise
        finally:
            self._readings -= 1

    def judge(self) -> Verdict:
        """Return what the attempt came to, now that the provider's code calls it a failure; once unknown, always unknown."""
        if self.verdict is not Verdict.UNKNOWN:
            self.verdict = self._judge()
        return self.verdict

    def _judge(self) -> Verdict:
        chain = _get_chain(sys.exc_info()[1], self._earlier)
        # What the provider's code says to people is no cause.
        causes = [_classify(cause) for cause in chain if not isinstance(cause, UserError)]
        answers = [request.answer for request in self.requests]
        # The latest error comes first. Those with a status were seen, if anything was.
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
            # Whatever is made of nothing was not said by the provider.
            return Verdict.UNKNOWN
        if last in (None, Answer.READ) and is_understood and None not in causes:
            return Verdict.DECLINED
        return Verdict.UNKNOWN


def get_attempt(key: Any = None) -> Attempt | None:
    """Return the attempt that is under way for what is charged, or for anything; None if there is none."""
    attempt = _current.get()
    return attempt if attempt and key in (None, attempt.key) else None


def asking():
    """Return the context in which a request is sent; outside of an attempt it does nothing."""
    attempt = _current.get()
    return attempt.asking() if attempt else nullcontext([])


@contextmanager
def charging(key: Any) -> Iterator[Attempt]:
    """Observe the requests that are sent meanwhile."""
    token = _current.set(attempt := Attempt(key))
    try:
        yield attempt
    finally:
        _current.reset(token)


def _get_answer(status: int) -> Answer:
    """Return what an HTTP status means."""
    # 202 promises that it will be looked at.
    if status == 202 or 300 <= status < 400:
        return Answer.MOVED
    if 200 <= status < 300:
        return Answer.READ
    if status in _NOT_PROCESSED:
        return Answer.NOT_PROCESSED
    return Answer.REFUSED if 400 <= status < 500 and status not in _UNSURE else Answer.OPEN


def _get_chain(error: BaseException | None, without) -> Iterator[BaseException]:
    """Return an error and what it was raised from or while handling, the latest first."""
    seen: list[BaseException] = list(without)
    waiting = [error]
    while waiting:
        error = waiting.pop()
        if error is None or any(error is other for other in seen):
            continue
        seen.append(error)
        yield error
        # What these come from tells less than they do.
        if not isinstance(error, urllib3.exceptions.HTTPError | urllib.error.URLError):
            waiting += [error.__context__, error.__cause__]


def _classify(error: BaseException) -> Answer | None:
    """Return what became of the request that an error is about; None if that cannot be told."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, urllib.error.HTTPError):
        status = error.code
    if isinstance(status, int):
        return _get_answer(status)
    reason = getattr(error, "reason", None) or getattr(next(iter(error.args), None), "reason", None)
    if isinstance(error, _NEVER_SENT) or isinstance(reason, _NEVER_SENT):
        return Answer.UNREACHABLE
    # An answer that cannot be parsed is a ValueError also where `requests` makes it one of its own.
    is_transport = isinstance(error, _TRANSPORT) and not isinstance(error, ValueError)
    names = [cls.__name__ for cls in type(error).__mro__]
    return Answer.OPEN if is_transport or any("Timeout" in name or "Transport" in name for name in names) else None


def _observe_requests() -> None:
    """Let what is sent by `requests`, and by Python's own HTTP client, be noted in the attempt under way."""

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
