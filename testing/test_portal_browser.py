"""The customer's pages in a browser: what axe-core finds, what the keyboard alone can do, and what works without scripts.

The demonstration data is Odoo's and the addon's; its customer with an account is Joel Willis.
"""

import pytest

from devtools import browser as chromium
from devtools import camera, node

SERIOUS = ("serious", "critical")
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
COFFEE = "/my/subscriptions/{subscription_close_renew.order_joel_coffee}"
PAGES = {
    "home": ("portal", "/my", ".o_portal_index_card"),
    "list": ("portal", "/my/subscriptions", "tr[name=subscription_row]"),
    "empty list": ("portal", "/my/subscriptions?search=nothing", "[name=subscription_none]"),
    "subscription": ("portal", COFFEE, "[name=subscription_close]"),
    "closing": ("portal", "/my/subscriptions/{subscription_close_renew.order_joel_crm}", "[name=subscription_status]"),
    "closed": ("portal", "/my/subscriptions/{subscription_close_renew.order_joel_fruit}", "[name=subscription_status]"),
    "declined": (None, "{declined}", "[name=subscription_payment_declined]"),
    "preview": ("admin", "{declined}", "[name=subscription_preview]"),
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
POP_UP = "#subscription_close_modal.show"


@pytest.fixture(scope="module")
def site(served):
    """The site, with the public page switched on."""
    site = camera.Site(*served)
    with site.connection.cursor() as cursor:
        cursor.execute("UPDATE res_company SET subscription_public_closing = true")
        cursor.execute(
            "UPDATE sale_order SET access_token = 'declined' WHERE id = %s",
            [site._record("subscription_close_renew", "order_gemini_declined")],
        )
    yield site
    site.connection.close()


@pytest.fixture(scope="module")
def axe(place):
    """The source of axe-core."""
    return (node.modules(place.odoo.environment) / "axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def window(site):
    """A browser."""
    window = camera.Browser(chromium.ensure())
    yield window
    window.close()


def visit(window, site, user, path, size="desktop", scripts=True):
    """Open a page as a user, or as nobody."""
    window.begin(*SIZES[size])
    if not scripts:
        # Scripts of the page do not run; those of the test do.
        window.ask("Emulation.setScriptExecutionDisabled", value=True)
    if user:
        site.admit(user, window)
    order = "/my/subscriptions/{subscription_close_renew.order_gemini_declined}?access_token=declined"
    window.open(site.address(path.replace("{declined}", order)))


def open_pop_up(window):
    """Click Close Subscription once the page's scripts are there: before, that leads to the page without pop-up."""
    camera._until(lambda: window.script("Boolean(window.Modal)"), "Bootstrap is not there")
    window.click("a[name=subscription_close]")
    window.wait_for(POP_UP)
    # The pop-up fades in.
    window.script("new Promise((resolve) => setTimeout(resolve, 500))")


def findings(window, axe):
    """What axe-core finds that is serious, as lines to read."""
    window.script(axe)
    found = window.script("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: {affected['html']}"
        for rule in found["violations"]
        if rule["impact"] in SERIOUS
        for affected in rule["nodes"]
    ]


def press(window, key, code=None, text=None):
    """Press a key as a person does."""
    for kind in ("keyDown", "keyUp"):
        window.ask(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            code=key,
            windowsVirtualKeyCode=code or 0,
            **({"text": text} if text and kind == "keyDown" else {}),
        )


def tab_to(window, selector):
    """Press the tabulator until something has the focus."""
    for _press in range(60):
        press(window, "Tab", 9)
        if window.script(f"document.activeElement.matches('{selector}')"):
            return
    raise AssertionError(f"{selector} is not reached by the keyboard")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("page", PAGES)
def test_page_has_no_serious_finding(window, site, axe, page, size):
    user, path, sign = PAGES[page]
    visit(window, site, user, path, size)
    window.wait_for(sign)
    assert findings(window, axe) == []


@pytest.mark.parametrize("size", SIZES)
def test_pop_up_has_no_serious_finding(window, site, axe, size):
    visit(window, site, "portal", COFFEE, size)
    open_pop_up(window)
    assert findings(window, axe) == []
    window.click(f"{POP_UP} input[type=radio]")
    window.wait_for(f"{POP_UP} [name=subscription_retention]")
    assert findings(window, axe) == []


@pytest.mark.parametrize("size", SIZES)
def test_retention_message_never_hides_submit(window, site, size):
    visit(window, site, "portal", COFFEE, size)
    open_pop_up(window)
    long = "<p>Please stay.</p>".replace("</p>", " Please stay." * 400 + "</p>")
    window.script(f"document.querySelector('{POP_UP} [name=subscription_retention] > div').innerHTML = '{long}'")
    window.click(f"{POP_UP} input[type=radio]")
    window.wait_for(f"{POP_UP} [name=subscription_retention]")
    on_top = f"""(() => {{
        const box = document.querySelector("{POP_UP} [name=subscription_close_submit]").getBoundingClientRect();
        const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
        return Boolean(top && top.closest("[name=subscription_close_submit]"));
    }})()"""
    camera._until(lambda: window.script(on_top), "Submit is hidden")


def test_keyboard_alone_opens_fills_in_and_leaves_the_pop_up(window, site):
    visit(window, site, "portal", COFFEE)
    camera._until(lambda: window.script("Boolean(window.Modal)"), "Bootstrap is not there")
    tab_to(window, "a[name=subscription_close]")
    press(window, "Enter", 13, "\r")
    window.wait_for(POP_UP)
    tab_to(window, f"{POP_UP} input[name=reason_id]")
    press(window, " ", 32, " ")
    assert window.script(f"document.querySelectorAll('{POP_UP} input[name=reason_id]:checked').length") == 1
    window.wait_for(f"{POP_UP} [name=subscription_retention]")
    tab_to(window, f"{POP_UP} [name=subscription_close_submit]")
    press(window, "Escape", 27)
    camera._until(lambda: not window.script(f"document.querySelector('{POP_UP}')"), "Escape does not leave the pop-up")
    camera._until(
        lambda: window.script("document.activeElement.matches('a[name=subscription_close]')"),
        "The focus does not go back to the button",
    )


def test_subscription_is_closed_and_kept_without_scripts(window, site):
    visit(window, site, "portal", COFFEE, scripts=False)
    window.click("a[name=subscription_close]")
    window.wait_for("h3 ~ form [name=subscription_close_submit]")
    window.click("input[name=reason_id]")
    window.wait_for("[name=subscription_retention]")
    window.click("[name=subscription_close_submit]")
    window.wait_for("[name=subscription_closed]")
    window.click("[name=subscription_keep]")
    window.wait_for("[name=subscription_kept]")
