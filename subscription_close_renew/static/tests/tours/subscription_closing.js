import { registry } from "@web/core/registry";

import {
    openClosePopUp,
    pickIn,
    pressButton,
    saveForm,
    seeInChatter,
    seeState,
    submitPopUp,
} from "./subscription_tour_utils";

registry.category("web_tour.tours").add("subscription_confirm_and_close", {
    steps: () => [
        {
            content: "Create a quotation",
            trigger: ".o_list_button_add",
            run: "click",
        },
        ...pickIn("partner_id", "Tour Customer"),
        ...pickIn("plan_id", "Tour Plan"),
        {
            content: "Add a product",
            trigger: '.o_field_x2many_list_row_add a:contains("Add a product")',
            run: "click",
        },
        ...pickIn("product_template_id", "Tour Magazine"),
        {
            content: "The product has the price of the plan",
            trigger: '.o_data_row .o_field_widget[name=price_unit] input:value("12.00")',
        },
        ...saveForm(),
        ...pressButton("action_confirm", "Confirm"),
        ...seeState("In Progress"),
        ...openClosePopUp(),
        ...pickIn("reason_id", "Tour Reason"),
        {
            content: "The pop-up shows the end date",
            trigger: '.modal .o_field_widget[name=effect]:contains("Closes today")',
        },
        ...submitPopUp(),
        ...seeState("Churned"),
        {
            content: "The reason is on the order",
            trigger: '.o_form_view .o_field_widget[name=close_reason_id]:contains("Tour Reason")',
        },
        ...seeInChatter("Reason: Tour Reason"),
    ],
});

registry.category("web_tour.tours").add("subscription_close_with_new_reason", {
    steps: () => [
        ...openClosePopUp(),
        {
            content: "Type in a reason that does not exist",
            trigger: ".modal .o_field_widget[name=reason_id] input",
            run: "edit Moved to the sea",
        },
        {
            content: "Create it",
            trigger:
                '.o-autocomplete--dropdown-item.o_m2o_dropdown_option_create:contains("Moved to the sea")',
            run: "click",
        },
        ...submitPopUp(),
        ...seeState("Churned"),
        ...seeInChatter("Reason: Moved to the sea"),
    ],
});

registry.category("web_tour.tours").add("subscription_plan_close_and_keep", {
    steps: () => [
        ...openClosePopUp(),
        ...pickIn("reason_id", "Tour Reason"),
        {
            content: "Choose the end of the paid period",
            trigger:
                '.modal .o_field_widget[name=when] label:contains("At the end of the paid period")',
            run: "click",
        },
        {
            content: "The pop-up shows the date",
            trigger:
                '.modal .o_field_widget[name=effect]:contains("the end of the period already invoiced")',
        },
        ...submitPopUp(),
        ...seeState("In Progress"),
        {
            content: "A banner shows the date and the reason",
            trigger:
                '.o_form_view .alert:contains("This subscription closes on"):contains("Tour Reason")',
        },
        ...pressButton("subscription_keep", "Keep Subscription"),
        {
            content: "The banner is gone",
            trigger: '.o_form_view:not(:has(.alert:contains("This subscription closes on")))',
        },
        ...seeState("In Progress"),
        ...seeInChatter("Subscription kept"),
    ],
});

registry.category("web_tour.tours").add("subscription_close_from_list", {
    steps: () => [
        {
            content: "Three subscriptions of the customer are listed",
            trigger: ".o_list_view .o_data_row:nth-child(3)",
        },
        {
            content: "Select all of them",
            trigger: ".o_list_view thead .o_list_record_selector input",
            run: "check",
        },
        {
            content: "Close them",
            trigger: '.o_control_panel button[name=action_subscription_close]:contains("Close")',
            run: "click",
        },
        ...pickIn("reason_id", "Tour Reason"),
        ...submitPopUp(),
        {
            content: "No subscription is in progress any longer",
            trigger:
                ".o_list_view:not(:has(.o_data_row)), .o_view_nocontent, .o_list_view .o_view_sample_data",
        },
    ],
});

registry.category("web_tour.tours").add("subscription_pause_and_reopen", {
    steps: () => [
        ...pressButton("action_cancel", "Cancel"),
        {
            content: "Confirm the cancellation",
            trigger: ".modal .modal-footer .btn-primary",
            run: "click",
        },
        {
            content: "An invoiced subscription can only be closed",
            trigger: '.modal .modal-body:contains("Close the subscription instead")',
        },
        {
            content: "Close the message",
            trigger: ".modal .modal-footer .btn-primary",
            run: "click",
        },
        ...pressButton("action_subscription_pause", "Pause"),
        ...submitPopUp("Pause"),
        ...seeState("Paused"),
        ...pressButton("subscription_resume", "Resume"),
        ...seeState("In Progress"),
        ...openClosePopUp(),
        ...pickIn("reason_id", "Tour Reason"),
        ...submitPopUp(),
        ...seeState("Churned"),
        ...pressButton("subscription_reopen", "Reopen"),
        {
            content: "Confirm",
            trigger: ".modal .modal-footer .btn-primary",
            run: "click",
        },
        ...seeState("In Progress"),
        ...seeInChatter("Subscription reopened"),
    ],
});
