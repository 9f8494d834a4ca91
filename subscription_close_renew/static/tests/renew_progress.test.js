import { animationFrame, beforeEach, Deferred, describe, expect, test, waitFor } from "@odoo/hoot";
import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import {
    contains,
    defineModels,
    fields,
    makeServerError,
    mockService,
    models,
    mountViewInDialog,
    onRpc,
} from "@web/../tests/web_test_helpers";
import { rpcBus } from "@web/core/network/rpc";

describe.current.tags("desktop");

class Wizard extends models.Model {
    _name = "sale.subscription.renew.wizard";

    note = fields.Char({ required: true });
    price_increase = fields.Float();
    renewable_count = fields.Integer();
    renewal_ids = fields.Many2many({ relation: "renewal" });
    failed_ids = fields.Many2many({ relation: "renewal" });

    _records = [{ id: 1, note: "In spring", renewable_count: 25 }];
}

class Renewal extends models.Model {
    _name = "renewal";

    name = fields.Char();

    _records = [
        { id: 7, name: "S0007" },
        { id: 8, name: "S0008" },
        { id: 9, name: "S0009" },
    ];
}

defineMailModels();
defineModels([Wizard, Renewal]);

const OPEN_RENEWALS = { type: "ir.actions.act_window", res_model: "renewal" };
const CLOSE = { type: "ir.actions.act_window_close" };
const BAR = ".o_renew_progress [role=progressbar]";

/** The server's answers, one for each step. */
let answers;

beforeEach(() => {
    answers = [];
    Wizard._records[0].renewal_ids = [7, 8];
    onRpc(Wizard._name, "renew_next", ({ args }) => {
        expect.step(["renew_next", ...args]);
        const answer = answers.shift();
        if (answer instanceof Error) {
            throw answer;
        }
        return answer;
    });
    onRpc(Wizard._name, "action_open_renewals", ({ args }) => {
        expect.step(["action_open_renewals", ...args]);
        return OPEN_RENEWALS;
    });
    mockService("action", { doAction: (action) => expect.step(action) });
});

async function mountWizard() {
    await mountViewInDialog({
        type: "form",
        resModel: Wizard._name,
        resId: 1,
        arch: `
            <form>
                <field name="renewable_count"/>
                <field name="note"/>
                <field name="price_increase"/>
                <footer>
                    <widget name="subscription_renew_progress"/>
                </footer>
            </form>`,
    });
}

function start() {
    return contains(".o_renew_start").click();
}

/** Wait until it appears, generously: the machine may be busy. */
function see(target) {
    return waitFor(target, { timeout: 2000 });
}

/** Let the current step end, and wait until the client knows. */
async function end(step, answer) {
    const known = new Promise((resolve) => {
        rpcBus.addEventListener("RPC:RESPONSE", resolve, { once: true });
    });
    step.resolve(answer);
    await known;
    await animationFrame();
}

const NEXT = ["renew_next", [1], 10];
const OPEN = ["action_open_renewals", [1]];

test("all are renewed step by step, and then their quotations open", async () => {
    answers = [
        { done: 10, total: 25 },
        { done: 20, total: 25 },
        { done: 25, total: 25 },
    ];
    await mountWizard();
    await start();
    await expect.waitForSteps([NEXT, NEXT, NEXT, OPEN, OPEN_RENEWALS]);
    expect(".o_notification").toHaveText("Renewal quotations: 2");
});

test("the progress is shown as a bar, in words and to screen readers", async () => {
    const steps = (answers = [new Deferred(), new Deferred()]).slice();
    await mountWizard();
    expect(BAR).toHaveCount(0);
    await start();
    expect(".o_renew_start").toHaveCount(0);
    await end(steps[0], { done: 10, total: 40 });
    expect(".o_renew_progress [role=status]").toHaveText("10 of 40");
    expect(`${BAR} .progress-bar`).toHaveStyle({ width: "25%" }, { inline: true });
    expect(BAR).toHaveAttribute("aria-valuenow", "10");
    expect(BAR).toHaveAttribute("aria-valuemax", "40");
    expect(BAR).toHaveAttribute("aria-valuetext", "10 of 40");
    await end(steps[1], { done: 40, total: 40 });
    expect(`${BAR} .progress-bar`).toHaveStyle({ width: "100%" }, { inline: true });
    await expect.waitForSteps([NEXT, NEXT, OPEN, OPEN_RENEWALS]);
});

test("the form is saved before anything is renewed", async () => {
    onRpc(Wizard._name, "web_save", ({ args }) => expect.step(["web_save", ...args]));
    answers = [{ done: 25, total: 25 }];
    await mountWizard();
    await contains(".o_field_widget[name=price_increase] input").edit("10", { confirm: false });
    await start();
    await expect.waitForSteps([
        ["web_save", [1], { price_increase: 10 }],
        NEXT,
        OPEN,
        OPEN_RENEWALS,
    ]);
});

test("nothing is renewed while the form is invalid", async () => {
    await mountWizard();
    await contains(".o_field_widget[name=note] input").edit("", { confirm: false });
    await start();
    await animationFrame();
    expect.verifySteps([]);
    expect(".o_renew_start").toHaveText("Renew");
});

test("the button is disabled when no subscription can be renewed", async () => {
    Wizard._records[0].renewable_count = 0;
    await mountWizard();
    expect(".o_renew_start").not.toBeEnabled();
});

test("Stop ends after the current step, and the quotations so far can be opened", async () => {
    const [step] = (answers = [new Deferred()]);
    await mountWizard();
    await start();
    await contains(".o_renew_stop").click();
    expect(".o_renew_stop").not.toBeEnabled();
    await end(step, { done: 10, total: 25 });
    expect.verifySteps([NEXT]);
    expect(".o_renew_progress [role=status]").toHaveText("10 of 25");
    expect(".o_renew_stop").toHaveCount(0);
    await contains(".o_renew_progress .btn-secondary").click();
    await expect.waitForSteps([OPEN, OPEN_RENEWALS]);
});

test("a stopped run continues where it left off", async () => {
    const [step] = (answers = [new Deferred(), { done: 25, total: 25 }]);
    await mountWizard();
    await start();
    await contains(".o_renew_stop").click();
    await end(step, { done: 10, total: 25 });
    await contains(".o_renew_progress .o_renew_start").click();
    await expect.waitForSteps([NEXT, NEXT, OPEN, OPEN_RENEWALS]);
});

test("Stop during the last step opens the quotations, as all of them exist", async () => {
    const [step] = (answers = [new Deferred()]);
    await mountWizard();
    await start();
    await contains(".o_renew_stop").click();
    await end(step, { done: 25, total: 25 });
    await expect.waitForSteps([NEXT, OPEN, OPEN_RENEWALS]);
});

test("closing the pop-up ends the run after the current step", async () => {
    const [step] = (answers = [new Deferred()]);
    await mountWizard();
    await start();
    await contains(".modal .btn-close").click();
    await end(step, { done: 10, total: 25 });
    expect.verifySteps([NEXT]);
});

test("a server error is shown and stops the run, which can be continued", async () => {
    expect.errors(1);
    answers = [
        { done: 10, total: 25 },
        makeServerError({ message: "Somebody else renews these" }),
        { done: 25, total: 25 },
    ];
    await mountWizard();
    await start();
    await see('.modal :text("Somebody else renews these")');
    expect.verifyErrors(["RPC_ERROR: Somebody else renews these"]);
    expect.verifySteps([NEXT, NEXT]);
    await contains(".modal:not(:has(.o_renew_progress)) .btn-primary").click();
    expect(".o_renew_progress [role=status]").toHaveText("10 of 25");
    await contains(".o_renew_progress .o_renew_start").click();
    await expect.waitForSteps([NEXT, OPEN, OPEN_RENEWALS]);
});

test("a step without progress ends the run", async () => {
    answers = [
        { done: 10, total: 25 },
        { done: 10, total: 25 },
        { done: 20, total: 25 },
    ];
    await mountWizard();
    await start();
    await expect.waitForSteps([NEXT, NEXT, OPEN, OPEN_RENEWALS]);
});

test("failed subscriptions are named, and the renewals of the others open", async () => {
    Wizard._records[0].failed_ids = [8, 9];
    Wizard._records[0].renewal_ids = [7];
    answers = [{ done: 3, total: 3 }];
    await mountWizard();
    await start();
    await expect.waitForSteps([NEXT, OPEN, OPEN_RENEWALS]);
    expect(".o_notification:contains(Renewal quotations: 1)").toHaveCount(1);
    expect(".o_notification:contains(Not renewed, see their activities: S0008, S0009)").toHaveCount(
        1
    );
});

test("the pop-up closes when every renewal failed", async () => {
    Wizard._records[0].failed_ids = [8, 9];
    Wizard._records[0].renewal_ids = [];
    answers = [{ done: 2, total: 2 }];
    await mountWizard();
    await start();
    await expect.waitForSteps([NEXT, CLOSE]);
    expect(".o_notification").toHaveCount(1);
});

test("when nothing is left to renew, the server says why", async () => {
    expect.errors(1);
    onRpc(Wizard._name, "action_submit", () => {
        throw makeServerError({ message: "Both are closed" });
    });
    answers = [{ done: 0, total: 0 }];
    await mountWizard();
    await start();
    await see('.modal :text("Both are closed")');
    expect.verifyErrors(["RPC_ERROR: Both are closed"]);
    expect.verifySteps([NEXT]);
});
