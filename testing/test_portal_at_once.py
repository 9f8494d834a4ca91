"""Of several simultaneous requests of a customer, one succeeds and the others report that it is already done."""

import re
import threading

PAGE = "/my/subscriptions/{subscription_close_renew.order_joel_coffee}"


def test_several_submits_at_once_close_once(served):
    session, page = served.session("portal"), served.address(PAGE)
    text = session.get(f"{page}/closing").text
    form = {
        "csrf_token": re.search(r'name="csrf_token" value="([^"]+)"', text)[1],
        "reason_id": re.search(r'name="reason_id"[^>]*value="(\d+)"', text)[1],
    }
    ready = threading.Barrier(4)
    answers = []

    def submit():
        ready.wait()
        answers.append(session.post(f"{page}/close", form, allow_redirects=False))

    customers = [threading.Thread(target=submit) for _customer in range(4)]
    for customer in customers:
        customer.start()
    for customer in customers:
        customer.join()
    assert sorted(answer.status_code for answer in answers) == [303, 409, 409, 409]
    assert all("already" in answer.text for answer in answers if answer.status_code == 409)
    order = served.record_id("subscription_close_renew.order_joel_coffee")
    receipts = f"model = 'sale.order' AND res_id = {order} AND subject LIKE '%received your request%'"
    assert served.sql(f"SELECT count(*) FROM mail_message WHERE {receipts}") == [["1"]]
    closed = f"SELECT close_by_customer, end_date IS NOT NULL FROM sale_order WHERE id = {order}"
    assert served.sql(closed) == [["t", "t"]]
