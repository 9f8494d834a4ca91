import { registry } from "@web/core/registry";

function openFromList() {
    return [
        {
            content: "The portal home counts the subscriptions",
            trigger: 'a[href="/my/subscriptions"]:contains("1"):contains("Subscriptions")',
            run: "click",
            expectUnloadPage: true,
        },
        {
            content: "Open the subscription from the list",
            trigger: 'tr[name=subscription_row]:contains("In Progress") a',
            run: "click",
            expectUnloadPage: true,
        },
        seeStatus("In Progress"),
    ];
}

function seeStatus(label) {
    return {
        content: `The label says ${label}`,
        trigger: `[name=subscription_sidebar_status]:contains("${label}")`,
    };
}

function openPopUp() {
    return [
        {
            content: "Close Subscription",
            trigger: "a[name=subscription_close]",
            run: "click",
        },
        {
            content: "The pop-up has the same name",
            trigger: '#subscription_close_modal.show .modal-title:contains("Close Subscription")',
        },
    ];
}

function choose(reason) {
    return {
        content: `Choose ${reason}`,
        trigger: `form[action*="/close"]:visible label:contains("${reason}")`,
        run: "click",
    };
}

function submit() {
    return {
        content: "Submit",
        trigger: 'button[name=subscription_close_submit]:visible:contains("Submit")',
        run: "click",
        expectUnloadPage: true,
    };
}

registry.category("web_tour.tours").add("subscription_portal_close", {
    steps: () => [
        ...openFromList(),
        ...openPopUp(),
        {
            content: "The pop-up shows when the subscription closes",
            trigger: '.modal.show [name=subscription_close_effect]:contains("will close today")',
        },
        {
            content: "Submit without a reason",
            trigger: ".modal.show button[name=subscription_close_submit]",
            run: "click",
        },
        {
            content: "A reason is required",
            trigger: ".modal.show form:invalid",
        },
        {
            content: "No message is shown until a reason is chosen",
            trigger: ".modal.show form:not(:has([name=subscription_retention]:visible))",
        },
        choose("Too far away"),
        {
            content: "The message of the reason is shown",
            trigger:
                '.modal.show [name=subscription_retention]:visible:contains("We have moved, too."):has(a[href="/contactus"])',
        },
        {
            content: "Submit is still available",
            trigger: ".modal.show button[name=subscription_close_submit]:visible:enabled",
        },
        choose("Moves abroad"),
        {
            content: "The message of the other reason is gone",
            trigger: ".modal.show form:not(:has([name=subscription_retention]:visible))",
        },
        choose("Too far away"),
        submit(),
        seeStatus("Closed"),
        {
            content: "A message confirms it",
            trigger: '[name=subscription_closed]:contains("A receipt is on its way")',
        },
        {
            content: "Nothing is left to close",
            trigger: "#sidebar_content:not(:has([name=subscription_close]))",
        },
    ],
});

registry.category("web_tour.tours").add("subscription_portal_plan_close_and_keep", {
    steps: () => [
        ...openFromList(),
        ...openPopUp(),
        {
            content: "The pop-up shows when the subscription closes",
            trigger: '.modal.show [name=subscription_close_effect]:contains("02/28/2027")',
        },
        choose("Moves abroad"),
        submit(),
        seeStatus("Closes on 02/28/2027"),
        {
            content: "Keep the subscription",
            trigger: 'button[name=subscription_keep]:contains("Keep Subscription")',
            run: "click",
            expectUnloadPage: true,
        },
        seeStatus("In Progress"),
        {
            content: "A message confirms it",
            trigger: '[name=subscription_kept]:contains("You have kept your subscription")',
        },
    ],
});

registry.category("web_tour.tours").add("subscription_portal_close_on_plain_page", {
    steps: () => [
        choose("Too far away"),
        {
            content: "The message of the reason is shown",
            trigger: '[name=subscription_retention]:visible:contains("We have moved, too.")',
        },
        submit(),
        seeStatus("Closed"),
    ],
});

registry.category("web_tour.tours").add("subscription_portal_preview", {
    steps: () => [
        seeStatus("In Progress"),
        {
            content: "A notice says that the buttons only work for the customer",
            trigger: "[name=subscription_preview]:visible",
        },
        ...openPopUp(),
        choose("Moves abroad"),
        {
            content: "Submit is disabled",
            trigger: ".modal.show button[name=subscription_close_submit]:disabled",
        },
        {
            content: "A notice gives the reason",
            trigger: ".modal.show [name=subscription_close_preview]",
        },
    ],
});

registry.category("web_tour.tours").add("subscription_portal_renew", {
    steps: () => [
        {
            content: "Renew",
            trigger: 'button[name=subscription_renew]:contains("Renew")',
            run: "click",
            expectUnloadPage: true,
        },
        {
            content: "Accept the renewal quotation, and pay it",
            trigger: '#sale_order_sidebar_button a:contains("Accept & Pay")',
            run: "click",
        },
        {
            content: "Choose the stored card",
            trigger:
                '#modalaccept.show input[name="o_payment_radio"][data-payment-option-type="token"]',
            run: "check",
        },
        {
            content: "Pay",
            trigger: '#modalaccept.show button[name="o_payment_submit_button"]:enabled',
            run: "click",
            expectUnloadPage: true,
        },
        {
            content: "The renewal is the subscription now",
            trigger: '[name=subscription_sidebar_status]:contains("In Progress")',
            timeout: 30000,
        },
    ],
});
