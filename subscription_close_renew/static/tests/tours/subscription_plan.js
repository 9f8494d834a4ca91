import { registry } from "@web/core/registry";

import { saveForm } from "./subscription_tour_utils";

registry.category("web_tour.tours").add("subscription_plan_closable", {
    steps: () => [
        {
            content: "Open the configuration",
            trigger: '.o_menu_sections button:contains("Configuration")',
            run: "click",
        },
        {
            content: "Open the recurring plans",
            trigger: '.o-dropdown--menu a:contains("Recurring Plans")',
            run: "click",
        },
        {
            content: "Open a plan",
            trigger: '.o_list_view .o_data_cell:contains("Tour Plan")',
            run: "click",
        },
        {
            content: "Allow customers to close their subscription",
            trigger: ".o_field_widget[name=user_closable] input",
            run: "check",
        },
        {
            content: "Choose when it closes",
            trigger: '.o_field_widget[name=user_closable_when] label:contains("Immediately")',
            run: "click",
        },
        ...saveForm(),
    ],
});
