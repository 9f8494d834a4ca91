/**
 * Steps that the tours share. Each function returns a list of steps, named after what a user does.
 */

export function pickIn(field, text) {
    return [
        {
            content: `Type ${text} into ${field}`,
            trigger: `.o_field_widget[name=${field}] input`,
            run: `edit ${text}`,
        },
        {
            content: `Pick ${text}`,
            trigger: `.o-autocomplete--dropdown-item:not(.o_m2o_dropdown_option):contains("${text}")`,
            run: "click",
        },
    ];
}

export function saveForm() {
    return [
        {
            content: "Save the form",
            trigger: ".o_form_button_save:enabled",
            run: "click",
        },
        {
            content: "The form is saved",
            trigger: ".o_form_saved",
        },
    ];
}

export function pressButton(name, label) {
    return [
        {
            content: `Press ${label}`,
            trigger: `.o_form_view button[name=${name}]:contains("${label}")`,
            run: "click",
        },
    ];
}

export function openClosePopUp() {
    return [
        ...pressButton("action_subscription_close", "Close"),
        {
            content: "The pop-up is called Close Reason",
            trigger: '.modal .modal-title:contains("Close Reason")',
        },
    ];
}

export function submitPopUp(label = "Submit") {
    return [
        {
            content: label,
            trigger: `.modal button[name=action_submit]:contains("${label}")`,
            run: "click",
        },
        {
            content: "The pop-up is gone",
            trigger: "body:not(:has(.modal))",
        },
    ];
}

export function seeState(label) {
    return [
        {
            content: `The stage is ${label}`,
            trigger: `.o_field_widget[name=subscription_state] .o_arrow_button_current:contains("${label}")`,
        },
    ];
}

export function seeInChatter(text) {
    return [
        {
            content: `The chatter says ${text}`,
            trigger: `.o-mail-Chatter .o-mail-Message:contains("${text}")`,
        },
    ];
}
