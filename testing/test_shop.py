"""In Odoo's shop, nobody can pay for a subscription that cannot be confirmed."""

import pytest

from devtools import project

SHOP = """
company = env.company
plan = env["sale.subscription.plan"].search([], limit=1)
company.subscription_default_plan_id = plan
values = {"type": "service", "list_price": 10, "is_published": True}
chair, coffee = env["product.product"].create(
    [{"name": "Chair", **values}, {"name": "Coffee", "recurring_invoice": True, **values}]
)
website = env["website"].search([("company_id", "=", company.id)], limit=1)
partner = env["res.partner"].create({"name": "Buyer", "email": "buyer@example.com"})

def cart(*products):
    order = env["sale.order"].create({"partner_id": partner.id, "website_id": website.id, "company_id": company.id})
    for product in products:
        order._cart_add(product.id, 1)
    return order

def refused(order):
    try:
        order._check_cart_is_ready_to_be_paid()
    except Exception as error:
        return str(error)

order = cart(chair, coffee)
print("BOTH", bool(order.plan_id), order._is_cart_ready(), refused(order))
order._cart_update_line_quantity(order.order_line[1].id, 0)
print("TAKEN OUT", bool(order.plan_id), order._is_cart_ready(), refused(order))
company.subscription_default_plan_id = False
order = cart(coffee)
print("NO PLAN", bool(order.plan_id), order._is_cart_ready(), refused(order))
print("EMPTY", env["sale.order"]._is_cart_ready())
env.cr.rollback()
"""


@pytest.fixture(scope="module")
def printed(place, base):
    database = place.scratch.database(place.databases, base, "shop")
    place.odoo.install(database, ["website_sale", project.ADDON])
    return place.odoo.script(database, SHOP, "Filling carts")


def test_subscription_is_paid(printed):
    assert "BOTH True True None" in printed


def test_plan_leaves_the_cart_with_the_subscription_product(printed):
    assert "TAKEN OUT False True None" in printed


def test_cart_without_a_plan_is_refused_before_payment(printed):
    assert "NO PLAN False False Coffee is sold by subscription" in printed


def test_empty_cart_behaves_as_without_the_addon(printed):
    assert "EMPTY False" in printed
