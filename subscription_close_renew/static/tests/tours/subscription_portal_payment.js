import { registry } from "@web/core/registry";

registry.category("web_tour.tours").add("subscription_portal_payment", {
    steps: () => [
        {
            content: "A payment was declined, and can be made by hand",
            trigger:
                '[name=subscription_payment_declined]:contains("was declined: Insufficient funds."):contains("Pay Now")',
        },
        {
            content: "Change the payment method instead",
            trigger: '[name=subscription_payment_declined] a:contains("Change Payment Method")',
            run: "click",
            expectUnloadPage: true,
        },
        {
            content: "The present one is marked",
            trigger: '.list-group-item:contains("4242"):contains("Current")',
        },
        {
            content: "Choose the other one: its whole line can be clicked",
            trigger: '.list-group-item:contains("1111") label',
            run: "click",
        },
        {
            content: "It is chosen",
            trigger: '.list-group-item:contains("1111") input:checked',
        },
        {
            content: "Use it",
            trigger: 'button:contains("Use this payment method")',
            run: "click",
            expectUnloadPage: true,
        },
        {
            content: "The order says so",
            trigger: '.alert-success:contains("this payment method is charged"):contains("1111")',
        },
        {
            content: "What was declined is tried again",
            trigger: '[name=subscription_payment_declined]:contains("We will try again today.")',
        },
        {
            content: "The new payment method stands on the order",
            trigger: '[name=subscription_payment_method]:contains("1111")',
        },
    ],
});
