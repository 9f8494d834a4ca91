"""Two requests of a customer at the same moment: one of them does what it asks, the other is told that it is done."""

import re
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

from devtools import camera


@pytest.fixture(scope="module")
def site(served):
    site = camera.Site(*served)
    yield site
    site.connection.close()


def opener():
    """What opens addresses without going after redirections, nor through a proxy."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_arguments):
            return None

    return urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay())


def fetch(site, path, **form):
    """Ask for a page, or send a form, as Joel Willis; the status and the text."""
    data = urllib.parse.urlencode(form).encode() if form else None
    headers = {"Cookie": f"session_id={site.session('portal')}"}
    try:
        answer = opener().open(urllib.request.Request(site.address(path), data, headers), timeout=60)
    except urllib.error.HTTPError as refused:
        answer = refused
    return answer.status, answer.read().decode()


def rows(site, query, *values):
    with site.connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


def test_two_submits_at_once_close_once(site):
    page = "/my/subscriptions/{subscription_close_renew.order_joel_coffee}"
    _status, text = fetch(site, f"{page}/closing")
    form = {
        "csrf_token": re.search(r'name="csrf_token" value="([^"]+)"', text)[1],
        "reason_id": re.search(r'name="reason_id"[^>]*value="(\d+)"', text)[1],
    }
    ready = threading.Barrier(4)
    answers = []

    def submit():
        ready.wait()
        answers.append(fetch(site, f"{page}/close", **form))

    customers = [threading.Thread(target=submit) for _customer in range(4)]
    for customer in customers:
        customer.start()
    for customer in customers:
        customer.join()
    assert sorted(status for status, _text in answers) == [303, 409, 409, 409]
    assert all("already" in text for status, text in answers if status == 409)
    order = site._record("subscription_close_renew", "order_joel_coffee")
    receipts = rows(
        site,
        "SELECT id FROM mail_message WHERE model = 'sale.order' AND res_id = %s AND subject LIKE '%%we received%%'",
        order,
    )
    assert len(receipts) == 1
    assert rows(site, "SELECT close_by_customer, end_date IS NOT NULL FROM sale_order WHERE id = %s", order) == [
        (True, True)
    ]
