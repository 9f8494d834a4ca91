import { registry } from "@web/core/registry";

function choose(label) {
    return [
        {
            content: `Choose ${label}`,
            trigger: `.o_retention [role=radiogroup] label:contains("${label}")`,
            run: "click",
        },
    ];
}

function seeCell(text) {
    return [
        {
            content: `The month after the start shows ${text}`,
            trigger: `.o_retention_table tbody tr:not(.o_retention_total) td:nth-child(4).o_retention_cell:contains(/^${text}$/)`,
        },
    ];
}

registry.category("web_tour.tours").add("subscription_retention", {
    steps: () => [
        {
            content: "The first column names the months",
            trigger: ".o_retention_table tbody th[scope=row]",
        },
        ...seeCell("50%"),
        ...choose("Value"),
        ...seeCell("1"),
        ...choose("MRR"),
        ...seeCell("12"),
        ...choose("Percentage"),
        ...seeCell("33%"),
        {
            content: "The tooltip shows the figures",
            trigger: '.o_retention_cell[title*="1 months later"][title*="12.00"][title*="36.00"]',
        },
        {
            content: "Look three years back",
            trigger: ".o_retention_months",
            run: "select 36",
        },
        {
            content: "The table is still filled",
            trigger: ".o_retention:not([aria-busy]) .o_retention_total td.o_retention_cell",
        },
        {
            content: "Search for a customer that does not exist",
            trigger: ".o_searchview_input",
            run: "edit Nobody At All",
        },
        {
            content: "Search",
            trigger: '.o_searchview_autocomplete .o-dropdown-item:contains("Customer")',
            run: "click",
        },
        {
            content: "The empty table explains what to do",
            trigger: '.o_view_nocontent_smiling_face:contains("No customers started")',
        },
    ],
});
