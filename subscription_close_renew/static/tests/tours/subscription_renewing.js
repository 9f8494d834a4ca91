import { registry } from "@web/core/registry";

import { pickIn, pressButton, saveForm, seeInChatter, seeState } from "./subscription_tour_utils";

function pressSmartButton(name, label) {
    return [
        {
            content: `Press the smart button ${label}`,
            trigger: `.o-form-buttonbox button[name=${name}]:contains("${label}")`,
            run: "click",
        },
    ];
}

function seePage(title) {
    return [
        {
            content: `The page is called ${title}`,
            trigger: `.o_breadcrumb .active:contains("${title}")`,
        },
    ];
}

registry.category("web_tour.tours").add("subscription_renew_with_extra_product", {
    steps: () => [
        ...pressButton("action_subscription_renew", "Renew"),
        {
            content: "It has the tag Renewal Quotation",
            trigger: '.o_widget_web_ribbon span:contains("Renewal Quotation")',
        },
        ...seeInChatter("Renews the subscription"),
        {
            content: "The price is unchanged, and the previous one is shown beside it",
            trigger:
                '.o_data_row:contains("Tour Magazine") td[name=previous_price_unit]:contains("12.00")',
        },
        {
            content: "Add a product",
            trigger: '.o_field_x2many_list_row_add a:contains("Add a product")',
            run: "click",
        },
        ...pickIn("product_template_id", "Tour Newspaper"),
        {
            content: "The product has its price",
            trigger: '.o_data_row .o_field_widget[name=price_unit] input:value("5.00")',
        },
        ...saveForm(),
        ...pressButton("action_confirm", "Confirm"),
        ...seeState("In Progress"),
        ...pressSmartButton("action_subscription_history", "Sales History"),
        ...seePage("Sales History"),
        {
            content: "The first order is renewed",
            trigger: '.o_list_view .o_data_row td[name=subscription_state]:contains("Renewed")',
        },
        {
            content: "The other one is in progress: open it",
            trigger: '.o_list_view .o_data_row td[name=subscription_state]:contains("In Progress")',
            run: "click",
        },
        ...seeState("In Progress"),
        ...pressSmartButton("action_subscription_mrr", "MRR"),
        ...seePage("MRR Analysis"),
        {
            content: "A chart is drawn",
            trigger: ".o_graph_renderer canvas",
        },
        {
            content: "See the movements one by one",
            trigger: ".o_switch_view.o_list",
            run: "click",
        },
        {
            content: "The first order is new",
            trigger: '.o_list_view .o_data_row td[name=kind]:contains("New")',
        },
        {
            content: "The renewal is a transfer",
            trigger: '.o_list_view .o_data_row td[name=kind]:contains("Renewal")',
        },
        {
            content: "The added product is an expansion",
            trigger:
                '.o_list_view .o_data_row:has(td[name=kind]:contains("Expansion")) td[name=amount]:contains("5.00")',
        },
    ],
});

registry.category("web_tour.tours").add("subscription_renew_refused", {
    steps: () => [
        ...pressButton("action_subscription_renew", "Renew"),
        {
            content: "A message says what is missing and what to do",
            trigger:
                '.modal .modal-body:contains("of the first period of"):contains("register the payment first")',
        },
        {
            content: "Close the message",
            trigger: ".modal .modal-footer .btn-primary",
            run: "click",
        },
        ...seeState("In Progress"),
        {
            content: "A single order has no sales history",
            trigger:
                ".o_form_view:not(:has(.o-form-buttonbox button[name=action_subscription_history]))",
        },
    ],
});

registry.category("web_tour.tours").add("subscription_renew_from_list", {
    steps: () => [
        {
            content: "Select all",
            trigger: ".o_list_view thead .o_list_record_selector input",
            run: "check",
        },
        {
            content: "Renew them",
            trigger: '.o_control_panel button[name=action_subscription_renew]:contains("Renew")',
            run: "click",
        },
        {
            content: "The pop-up shows how many can be renewed",
            trigger: '.modal .o_field_widget[name=renewable_count]:contains("2")',
        },
        {
            content: "The pop-up gives the reason for the other one",
            trigger: '.modal .alert:contains("is not invoiced")',
        },
        {
            content: "Raise the prices",
            trigger: ".modal .o_field_widget[name=price_increase] input",
            run: "edit 10",
        },
        {
            content: "Renew",
            trigger: '.modal .modal-footer button.btn-primary:contains("Renew")',
            run: "click",
        },
        ...seePage("Renewal Quotations"),
        {
            content: "Two quotations are listed",
            trigger: ".o_list_view .o_data_row:nth-child(2)",
        },
    ],
});
