"""The customer's pages in a browser: no serious axe-core findings, usable by keyboard alone and without scripts.

The data is the demo data of Odoo and the addon. Its customer with a login is Joel Willis.
"""

import pytest
from playwright.sync_api import expect

from devtools import browser, node

SERIOUS = ("serious", "critical")
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
COFFEE = "/my/subscriptions/{subscription_close_renew.order_joel_coffee}"
DECLINED = "/my/subscriptions/{subscription_close_renew.order_gemini_declined}?access_token=declined"
PAGES = {
    "home": ("portal", "/my", ".o_portal_index_card"),
    "list": ("portal", "/my/subscriptions", "tr[name=subscription_row]"),
    "empty list": ("portal", "/my/subscriptions?search=nothing", "[name=subscription_none]"),
    "subscription": ("portal", COFFEE, "[name=subscription_close]"),
    "closing": ("portal", "/my/subscriptions/{subscription_close_renew.order_joel_crm}", "[name=subscription_status]"),
    "closed": ("portal", "/my/subscriptions/{subscription_close_renew.order_joel_fruit}", "[name=subscription_status]"),
    "declined": (None, DECLINED, "[name=subscription_payment_declined]"),
    "preview": ("admin", DECLINED, "[name=subscription_preview]"),
    "plain closing page": ("portal", f"{COFFEE}/closing", "[name=subscription_close_submit]"),
    "refusal": (
        "portal",
        "/my/subscriptions/{subscription_close_renew.order_joel_fruit}/closing",
        "[name=subscription_refusal]",
    ),
    "payment method": (
        "portal",
        "/my/orders/{subscription_close_renew.order_joel_coffee}/payment-method",
        "[name=subscription_no_payment_method]",
    ),
    "public page": (None, "/subscriptions/close", "[name=public_closing_form]"),
}


@pytest.fixture(scope="module")
def site(served):
    """The site, with the public page switched on."""
    served.sql("UPDATE res_company SET subscription_public_closing = true")
    declined = served.record_id("subscription_close_renew.order_gemini_declined")
    served.sql(f"UPDATE sale_order SET access_token = 'declined' WHERE id = {declined}")
    return served


@pytest.fixture(scope="module")
def axe(place):
    """The source of axe-core."""
    return (node.modules(place.odoo.environment) / "axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def visit(chromium, site):
    """A function that opens a page as a user or anonymously."""
    pages = []

    def visit(user, path, size="desktop", **options):
        page = browser.new_page(chromium, *SIZES[size], **options)
        pages.append(page)
        if user:
            site.log_in(page, user)
        page.goto(site.address(path))
        return page

    yield visit
    for page in pages:
        page.close()


def pop_up_of(page):
    """Click Close Subscription and return the pop-up."""
    wait_for_scripts(page)
    page.locator("a[name=subscription_close]").click()
    pop_up = page.locator("#subscription_close_modal.show")
    expect(pop_up).to_have_css("opacity", "1")
    return pop_up


def wait_for_scripts(page):
    """Wait for Bootstrap: before it is loaded, Close Subscription opens the page without the pop-up."""
    page.wait_for_function("Boolean(window.Modal)")


def findings(page, axe):
    """Return the serious findings of axe-core, as lines to read."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: {affected['html']}"
        for rule in found["violations"]
        if rule["impact"] in SERIOUS
        for affected in rule["nodes"]
    ]


def tab_to(page, locator):
    """Press Tab until one of the elements has the focus."""
    for _press in range(60):
        page.keyboard.press("Tab")
        if locator.evaluate_all("(all) => all.includes(document.activeElement)"):
            return
    raise AssertionError(f"{locator} cannot be reached by keyboard")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PAGES)
def test_page_has_no_serious_finding(visit, axe, name, size):
    user, path, sign = PAGES[name]
    page = visit(user, path, size)
    browser.wait_for(page, sign)
    assert findings(page, axe) == []


@pytest.mark.parametrize("size", SIZES)
def test_pop_up_has_no_serious_finding(visit, axe, size):
    page = visit("portal", COFFEE, size)
    pop_up = pop_up_of(page)
    assert findings(page, axe) == []
    pop_up.locator("input[type=radio]").first.click()
    expect(pop_up.locator("[name=subscription_retention]:visible")).to_have_count(1)
    assert findings(page, axe) == []


@pytest.mark.parametrize("size", SIZES)
def test_retention_message_never_hides_submit(visit, size):
    pop_up = pop_up_of(visit("portal", COFFEE, size))
    long = f"<p>{'Please stay. ' * 400}</p>"
    pop_up.locator("[name=subscription_retention] > div").first.evaluate("(box, long) => box.innerHTML = long", long)
    pop_up.locator("input[type=radio]").first.click()
    expect(pop_up.locator("[name=subscription_retention]:visible")).to_have_count(1)
    # Without scrolling, unlike Playwright's own click.
    on_top = """(button) => {
        const box = button.getBoundingClientRect();
        return button.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2));
    }"""
    assert pop_up.locator("[name=subscription_close_submit]").evaluate(on_top)


def test_pop_up_is_usable_with_the_keyboard_alone(visit):
    page = visit("portal", COFFEE)
    wait_for_scripts(page)
    button, pop_up = page.locator("a[name=subscription_close]"), page.locator("#subscription_close_modal.show")
    tab_to(page, button)
    page.keyboard.press("Enter")
    expect(pop_up).to_be_visible()
    tab_to(page, pop_up.locator("input[name=reason_id]"))
    page.keyboard.press("Space")
    expect(pop_up.locator("input[name=reason_id]:checked")).to_have_count(1)
    expect(pop_up.locator("[name=subscription_retention]:visible")).to_have_count(1)
    tab_to(page, pop_up.locator("[name=subscription_close_submit]"))
    page.keyboard.press("Escape")
    expect(pop_up).to_have_count(0)
    expect(button).to_be_focused()


def test_subscription_is_closed_and_kept_without_scripts(visit):
    page = visit("portal", COFFEE, java_script_enabled=False)
    page.locator("a[name=subscription_close]").click()
    page.locator("h3 ~ form input[name=reason_id]").first.click()
    expect(page.locator("[name=subscription_retention]:visible")).to_have_count(1)
    page.locator("h3 ~ form [name=subscription_close_submit]").click()
    expect(page.locator("[name=subscription_closed]")).to_be_visible()
    page.locator("[name=subscription_keep]").click()
    expect(page.locator("[name=subscription_kept]")).to_be_visible()
