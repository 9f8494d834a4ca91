import { registry } from "@web/core/registry";

registry.category("web_tour.tours").add("subscription_renew_several", {
    steps: () => [
        {
            content: "Select all",
            trigger: ".o_list_view thead .o_list_record_selector input",
            run: "click",
        },
        {
            content: "Renew them",
            trigger: 'button[name=action_subscription_renew]:contains("Renew")',
            run: "click",
        },
        {
            content: "The pop-up says how many can be renewed",
            trigger: ".modal .o_field_widget[name=renewable_count]:contains(3)",
        },
        {
            content: "The pop-up gives the reasons for the others",
            trigger: '.modal [role=alert]:contains("not invoiced")',
        },
        {
            content: "Raise the prices",
            trigger: ".modal .o_field_widget[name=price_increase] input",
            run: "edit 10",
        },
        {
            content: "Renew",
            trigger: '.modal-footer .o_renew_start:contains("Renew")',
            run: "click",
        },
        {
            content: "A notification shows how many were created",
            trigger: '.o_notification:contains("Renewal quotations: 3")',
        },
        {
            content: "The three quotations are open",
            trigger: '.o_control_panel:contains("Renewal Quotations")',
        },
        {
            content: "The third, too, is a renewal quotation",
            trigger: '.o_data_row:nth-child(3) .badge:contains("Renewal Quotation")',
        },
    ],
});
