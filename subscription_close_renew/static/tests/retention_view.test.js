import {
    after,
    animationFrame,
    beforeEach,
    Deferred,
    describe,
    expect,
    queryAll,
    queryAllTexts,
    test,
    waitFor,
} from "@odoo/hoot";
import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import {
    contains,
    defineModels,
    editFavoriteName,
    fields,
    makeServerError,
    models,
    mountView,
    mountWithCleanup,
    onRpc,
    patchWithCleanup,
    saveFavorite,
    toggleMenuItem,
    toggleSaveFavorite,
    toggleSearchBarMenu,
} from "@web/../tests/web_test_helpers";
import { MainComponentsContainer } from "@web/core/main_components_container";
import { download } from "@web/core/network/download";
import { rpcBus } from "@web/core/network/rpc";

describe.current.tags("desktop");

class Movement extends models.Model {
    _name = "sale.subscription.movement";

    plan_id = fields.Char();
}

defineMailModels();
defineModels([Movement]);

function row(month, started, ...left) {
    const cells = left.map((value) => ({ value, base: started, share: value / started }));
    return { month, started, cells };
}

function retention({ measure = "customers", months = 12, rows = [], total = row(false, 0) }) {
    return { measure, currency_id: 1, months, rows, total };
}

const CUSTOMERS = retention({
    rows: [row("2027-01-01", 4, 4, 3, 1), row("2027-03-01", 1200, 900)],
    total: row(false, 1204, 904, 3, 1),
});
const MRR = retention({
    measure: "mrr",
    rows: [row("2027-01-01", 36, 36, 12.4, 45)],
    total: row(false, 36, 36, 12.4, 45),
});
const ROWS = ".o_retention_table tbody tr";

/** What the server answers for each measure, and what it was asked. */
let answers, asked;

beforeEach(() => {
    answers = { customers: CUSTOMERS, mrr: MRR };
    asked = [];
    onRpc("sale.subscription.movement", "get_retention", ({ kwargs }) => {
        const { measure, months, domain } = kwargs;
        asked.push([measure, months, domain]);
        if (answers[measure] instanceof Error) {
            throw answers[measure];
        }
        return answers[measure];
    });
});

async function mountRetention(params = {}) {
    await mountView({
        type: "graph",
        resModel: "sale.subscription.movement",
        arch: `<graph js_class="subscription_retention"/>`,
        searchViewArch: `
            <search>
                <filter name="yearly" string="Yearly" domain="[('plan_id', '=', 'Yearly')]"/>
            </search>`,
        noContentHelp: "Nobody has started",
        ...params,
    });
}

function texts(number) {
    return queryAllTexts(`${ROWS}:nth-child(${number}) > *`);
}

/** Wait for the server's answer, generously: the machine may be busy. */
function settled() {
    return waitFor(".o_retention:not([aria-busy])", { timeout: 2000 });
}

function press(label) {
    return contains(`.o_retention label:text(${label})`).click();
}

async function choose(label) {
    await press(label);
    await settled();
}

async function lookBack(months) {
    await contains(".o_retention_months").select(months);
    await settled();
}

/** The heat of each cell, and how opaque the browser paints it. */
function colours() {
    return queryAll(".o_retention_cell").map((cell) => {
        const style = getComputedStyle(cell);
        const alpha = style.backgroundColor.match(/\/ ([\d.]+)\)/)?.[1] ?? "1";
        return [style.getPropertyValue("--o-retention-heat"), Number(Number(alpha).toFixed(4))];
    });
}

test("the grid has a row per month and a total, with a cell for each month since", async () => {
    await mountRetention();
    expect(".o_retention_table thead th:eq(1)").toHaveText("Customers");
    expect(queryAllTexts(".o_retention_table thead tr:nth-child(2) th")).toEqual(["0", "1", "2"]);
    expect(ROWS).toHaveCount(3);
    expect(texts(1)).toEqual(["Jan 2027", "4", "100%", "75%", "25%"]);
    expect(texts(2)).toEqual(["Mar 2027", "1,200", "75%", "", ""]);
    expect(texts(3).slice(0, 2)).toEqual(["All", "1,204"]);
    expect(`${ROWS}:nth-child(2) .o_retention_cell`).toHaveCount(1);
    expect(`${ROWS}.o_retention_total`).toHaveCount(1);
    expect(asked).toEqual([["customers", 12, []]]);
});

test("the title of a cell gives both figures", async () => {
    await mountRetention();
    expect(`${ROWS}:nth-child(1) .o_retention_cell:eq(1)`).toHaveAttribute(
        "title",
        /^Jan 2027, 1 months later: 3 of 4 .*\(75%\)$/
    );
});

test("switching between percentage and value does not ask the server again", async () => {
    await mountRetention();
    await choose("Value");
    expect(texts(1)).toEqual(["Jan 2027", "4", "4", "3", "1"]);
    await choose("Percentage");
    expect(texts(1)).toEqual(["Jan 2027", "4", "100%", "75%", "25%"]);
    expect(asked).toEqual([["customers", 12, []]]);
});

test("another measure asks the server again, and MRR is shown as an amount", async () => {
    await mountRetention();
    await choose("MRR");
    expect(asked).toEqual([
        ["customers", 12, []],
        ["mrr", 12, []],
    ]);
    expect(".o_retention_table thead th:eq(1)").toHaveText("MRR");
    expect(texts(1)).toEqual(["Jan 2027", "$ 36.00", "100%", "34%", "125%"]);
    await choose("Value");
    expect(texts(1)).toEqual(["Jan 2027", "$ 36.00", "36", "12", "45"]);
    expect(".o_retention_cell:eq(1)").toHaveAttribute("title", /\$\s12\.40 of \$\s36\.00/);
});

test("another number of months asks the server again", async () => {
    await mountRetention();
    expect(".o_retention_months").toHaveValue("12");
    await lookBack("36");
    expect(asked).toEqual([
        ["customers", 12, []],
        ["customers", 36, []],
    ]);
});

test("a filter asks the server again, keeping the chosen measure and months", async () => {
    await mountRetention();
    await choose("MRR");
    await lookBack("6");
    await toggleSearchBarMenu();
    await toggleMenuItem("Yearly");
    await settled();
    expect(asked.at(-1)).toEqual(["mrr", 6, [["plan_id", "=", "Yearly"]]]);
});

test("an empty grid says what to do and offers no download", async () => {
    answers.customers = retention({});
    await mountRetention();
    expect(".o_nocontent_help").toHaveText("Nobody has started");
    expect(".o_retention_table").toHaveCount(0);
    expect(".o_retention_export").not.toBeEnabled();
    await choose("MRR");
    expect(".o_nocontent_help").toHaveCount(0);
    expect(".o_retention_table").toHaveCount(1);
    expect(".o_retention_export").toBeEnabled();
});

test("the larger the share, the stronger the colour, between 0 and 100 percent", async () => {
    answers.customers = retention({
        rows: [row("2027-01-01", 4, 4, 3, 1, 0, 5, -1)],
        total: row(false, 4),
    });
    answers.customers.total.cells = answers.customers.rows[0].cells;
    await mountRetention();
    const expected = [
        ["100%", 0.55],
        ["75%", 0.4125],
        ["25%", 0.1375],
        ["0%", 0],
        // Added MRR can bring the share above 100 percent, and credits below 0.
        ["100%", 0.55],
        ["0%", 0],
    ];
    expect(colours()).toEqual([...expected, ...expected]);
});

test("while the server is working, the previous figures stay under their own heading", async () => {
    await mountRetention();
    answers.mrr = new Deferred();
    await press("MRR");
    expect(".o_retention").toHaveAttribute("aria-busy");
    expect(".o_retention [role=status]").toHaveText("Loading…");
    expect(".o_retention_table thead th:eq(1)").toHaveText("Customers");
    expect(texts(1).slice(0, 2)).toEqual(["Jan 2027", "4"]);
    answers.mrr.resolve(MRR);
    await settled();
    expect(".o_retention_table thead th:eq(1)").toHaveText("MRR");
    expect(".o_retention [role=status]").toHaveCount(0);
});

test("the answer to the last question wins, even if an earlier one arrives later", async () => {
    await mountRetention();
    answers.mrr = new Deferred();
    await press("MRR");
    await choose("Customers");
    const late = new Promise((resolve) => {
        rpcBus.addEventListener("RPC:RESPONSE", resolve, { once: true });
    });
    answers.mrr.resolve(MRR);
    await late;
    await animationFrame();
    expect(".o_retention_table thead th:eq(1)").toHaveText("Customers");
    expect(texts(1)).toEqual(["Jan 2027", "4", "100%", "75%", "25%"]);
});

test("a server error is shown, the previous figures stay, and the user can ask again", async () => {
    expect.errors(1);
    await mountWithCleanup(MainComponentsContainer);
    await mountRetention();
    answers.mrr = makeServerError({ message: "No rate for that currency" });
    await choose("MRR");
    await waitFor('.modal :text("No rate for that currency")', { timeout: 2000 });
    expect.verifyErrors(["RPC_ERROR: No rate for that currency"]);
    await contains(".modal .btn-primary").click();
    expect(texts(1)).toEqual(["Jan 2027", "4", "100%", "75%", "25%"]);
    answers.mrr = MRR;
    await lookBack("6");
    expect(".o_retention_table thead th:eq(1)").toHaveText("MRR");
});

test("a favorite keeps the measure, the months and the display", async () => {
    onRpc("create_filter", ({ args }) => {
        expect.step(args[0].context);
        return [1];
    });
    await mountRetention();
    await choose("MRR");
    await choose("Value");
    await lookBack("24");
    await toggleSearchBarMenu();
    await toggleSaveFavorite();
    await editFavoriteName("Mine");
    await saveFavorite();
    expect.verifySteps([
        {
            group_by: [],
            retention_measure: "mrr",
            retention_months: 24,
            retention_display: "value",
        },
    ]);
});

test("the context sets the measure, the months and the display", async () => {
    const context = {
        retention_measure: "mrr",
        retention_months: 24,
        retention_display: "value",
    };
    await mountRetention({ context });
    expect(asked).toEqual([["mrr", 24, []]]);
    expect(".o_retention_months").toHaveValue("24");
    expect("#o_retention_mrr").toBeChecked();
    expect("#o_retention_value").toBeChecked();
    expect(texts(1).slice(2)).toEqual(["36", "12", "45"]);
});

test("coming back restores what was chosen, whatever the context says", async () => {
    await mountRetention({
        context: { retention_measure: "customers" },
        state: { measure: "mrr", months: 6, display: "value" },
    });
    expect(asked).toEqual([["mrr", 6, []]]);
    expect("#o_retention_value").toBeChecked();
});

test("the download has the measure, the months and the domain on screen", async () => {
    patchWithCleanup(download, {
        _download: ({ url, data }) => {
            const { measure, months, domain, context } = JSON.parse(data.data);
            expect.step([url, measure, months, domain, context.lang]);
        },
    });
    await mountRetention({ domain: [["plan_id", "!=", false]] });
    await choose("MRR");
    await lookBack("6");
    await contains(".o_retention_export").click();
    expect(asked.at(-1)).toEqual(["mrr", 6, [["plan_id", "!=", false]]]);
    expect.verifySteps([
        ["/subscriptions/retention/xlsx", "mrr", 6, [["plan_id", "!=", false]], "en"],
    ]);
});

test("months are Gregorian, even if the language uses another calendar", async () => {
    const { Settings } = luxon;
    const { defaultOutputCalendar } = Settings;
    after(() => (Settings.defaultOutputCalendar = defaultOutputCalendar));
    Settings.defaultOutputCalendar = "persian";
    await mountRetention();
    expect(texts(1)[0]).toBe("Jan 2027");
});
