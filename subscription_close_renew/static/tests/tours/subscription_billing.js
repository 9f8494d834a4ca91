import { registry } from "@web/core/registry";

import { pressButton, saveForm, seeInChatter, submitPopUp } from "./subscription_tour_utils";

function openTab(name, label) {
    return [
        {
            content: `Open the tab ${label}`,
            trigger: `.o_notebook .nav-link[name=${name}]:contains("${label}")`,
            run: "click",
        },
    ];
}

function seePeriod(status) {
    return [
        ...openTab("subscription_billing", "Billing"),
        {
            content: `The period is ${status}`,
            trigger: `.o_field_widget[name=period_ids] .o_data_row .badge:contains("${status}")`,
        },
    ];
}

function seeFailure() {
    return [
        {
            content: "The tag Payment Failure is shown",
            trigger: '.o_widget_web_ribbon span:contains("Payment Failure")',
        },
    ];
}

function seeNoFailure() {
    return [
        {
            content: "The tag Payment Failure is gone",
            trigger: '.o_form_view:not(:has(.o_widget_web_ribbon:contains("Payment Failure")))',
        },
    ];
}

function openResolvePopUp() {
    return [
        ...seeFailure(),
        ...pressButton("action_subscription_resolve_exception", "Resolve Payment Failure"),
        {
            content: "The pop-up asks what happened",
            trigger: '.modal .modal-title:contains("Resolve Payment Failure")',
        },
    ];
}

registry.category("web_tour.tours").add("subscription_bill_now", {
    steps: () => [
        ...pressButton("action_subscription_bill", "Bill Now"),
        {
            content: "A notification confirms the invoice",
            trigger: '.o_notification:contains("Invoiced")',
        },
        ...seePeriod("Invoiced"),
        {
            content: "The next periods are listed",
            trigger: ".o_field_widget[name=upcoming_periods] tbody tr:nth-child(12)",
        },
        {
            content: "Without a due period, the button is gone",
            trigger: ".o_form_view:not(:has(button[name=action_subscription_bill]))",
        },
    ],
});

registry.category("web_tour.tours").add("subscription_bill_from_list", {
    steps: () => [
        {
            content: "Select all",
            trigger: ".o_list_view thead .o_list_record_selector input",
            run: "click",
        },
        {
            content: "Bill them",
            trigger: 'button[name=action_subscription_bill]:contains("Bill due subscriptions")',
            run: "click",
        },
        {
            content: "A notification confirms the invoice",
            trigger: '.o_notification:contains("Invoiced")',
        },
    ],
});

registry.category("web_tour.tours").add("subscription_resolve_as_paid", {
    steps: () => [
        ...openResolvePopUp(),
        {
            content: "The payment was made",
            trigger: ".modal .o_field_widget[name=outcome] input[data-value=paid]",
            run: "click",
        },
        {
            content: "Enter the provider's number",
            trigger: ".modal .o_field_widget[name=reference] input",
            run: "edit PAY-4711",
        },
        ...submitPopUp(),
        ...seeNoFailure(),
        ...seePeriod("Paid"),
        ...seeInChatter("PAY-4711"),
    ],
});

registry.category("web_tour.tours").add("subscription_resolve_as_unpaid", {
    steps: () => [
        ...openResolvePopUp(),
        {
            content: "The payment was not made",
            trigger: ".modal .o_field_widget[name=outcome] input[data-value=unpaid]",
            run: "click",
        },
        ...submitPopUp(),
        ...seeNoFailure(),
        ...seeInChatter("not paid"),
    ],
});

registry.category("web_tour.tours").add("subscription_untick_exception", {
    steps: () => [
        ...seeFailure(),
        ...openTab("other_information", "Other Info"),
        {
            content: "Untick Contract in exception",
            trigger: ".o_notebook .o_field_widget[name=payment_exception] input:checked",
            run: "click",
        },
        ...saveForm(),
        ...seeNoFailure(),
    ],
});
