import { registry } from "@web/core/registry";

registry.category("web_tour.tours").add("subscription_portal_payment", {
    steps: () => [
        {
            content: "A declined payment can be made manually",
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
            content: "The current one is marked",
            trigger: '.list-group-item:contains("4242"):contains("Current")',
        },
        {
            content: "Choose the other one by clicking its row",
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
            content: "The order confirms it",
            trigger:
                '.alert-success:contains("we will charge this payment method"):contains("1111")',
        },
        {
            content: "The declined payment will be retried",
            trigger: '[name=subscription_payment_declined]:contains("We will try again today.")',
        },
        {
            content: "The order shows the new payment method",
            trigger: '[name=subscription_payment_method]:contains("1111")',
        },
    ],
});
