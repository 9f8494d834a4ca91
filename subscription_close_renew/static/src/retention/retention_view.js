import { Component, onWillStart, onWillUpdateProps, useRef, useState } from "@odoo/owl";
import { deserializeDate } from "@web/core/l10n/dates";
import { _t } from "@web/core/l10n/translation";
import { download } from "@web/core/network/download";
import { registry } from "@web/core/registry";
import { user } from "@web/core/user";
import { KeepLast } from "@web/core/utils/concurrency";
import { useService } from "@web/core/utils/hooks";
import { useSetupAction } from "@web/search/action_hook";
import { CogMenu } from "@web/search/cog_menu/cog_menu";
import { Layout } from "@web/search/layout";
import { SearchBar } from "@web/search/search_bar/search_bar";
import { useSearchBarToggler } from "@web/search/search_bar/search_bar_toggler";
import { ActionHelper } from "@web/views/action_helper";
import {
    formatFloat,
    formatInteger,
    formatMonetary,
    formatPercentage,
} from "@web/views/fields/formatters";
import { graphView } from "@web/views/graph/graph_view";
import { standardViewProps } from "@web/views/standard_view_props";

const MONTHS = [6, 12, 24, 36];

/**
 * The retention grid: a row for each starting month, a column for each month since then.
 */
export class RetentionController extends Component {
    static template = "subscription_close_renew.RetentionView";
    static components = { ActionHelper, CogMenu, Layout, SearchBar };
    static props = { ...standardViewProps };

    setup() {
        this.orm = useService("orm");
        this.keepLast = new KeepLast();
        this.searchBarToggler = useSearchBarToggler();
        const context = this.props.context;
        this.state = useState({
            measure: context.retention_measure || "customers",
            months: context.retention_months || 12,
            display: context.retention_display || "share",
            ...this.props.state,
            data: null,
            isLoading: false,
        });
        useSetupAction({
            rootRef: useRef("root"),
            getLocalState: () => this.getOptions(),
            getContext: () => {
                const { measure, months, display } = this.getOptions();
                return {
                    retention_measure: measure,
                    retention_months: months,
                    retention_display: display,
                };
            },
        });
        onWillStart(() => this.load(this.props));
        onWillUpdateProps((nextProps) => this.load(nextProps));
    }

    get measures() {
        return [
            { value: "customers", label: _t("Customers") },
            { value: "mrr", label: _t("MRR") },
        ];
    }

    get displays() {
        return [
            { value: "share", label: _t("Percentage") },
            { value: "value", label: _t("Value") },
        ];
    }

    get spans() {
        return MONTHS.map((months) => ({ value: months, label: _t("%s months", months) }));
    }

    get rows() {
        return [...this.state.data.rows, this.state.data.total];
    }

    get hasData() {
        return Boolean(this.state.data.rows.length);
    }

    get startedLabel() {
        return this.state.data.measure === "mrr" ? _t("MRR") : _t("Customers");
    }

    getOptions() {
        const { measure, months, display } = this.state;
        return { measure, months, display };
    }

    async load({ domain, context }) {
        this.state.isLoading = true;
        const { measure, months } = this.state;
        try {
            this.state.data = await this.keepLast.add(
                this.orm.call("sale.subscription.movement", "get_retention", [], {
                    measure,
                    months,
                    domain,
                    context,
                })
            );
        } finally {
            this.state.isLoading = false;
        }
    }

    choose(option, value) {
        this.state[option] = value;
        if (option !== "display") {
            return this.load(this.props);
        }
    }

    onMonthsChange(ev) {
        return this.choose("months", Number(ev.target.value));
    }

    formatMonth(row) {
        if (!row.month) {
            return _t("All");
        }
        // Months are Gregorian, even if the language uses another calendar.
        const month = deserializeDate(row.month).reconfigure({ outputCalendar: "gregory" });
        return month.toLocaleString({ month: "short", year: "numeric" });
    }

    formatValue(value, options = {}) {
        if (this.state.data.measure === "mrr") {
            return formatMonetary(value, { currencyId: this.state.data.currency_id, ...options });
        }
        return formatInteger(value, options);
    }

    formatCell(cell) {
        if (this.state.display === "share") {
            return formatPercentage(cell.share, { digits: [16, 0] });
        }
        if (this.state.data.measure === "mrr") {
            return formatFloat(cell.value, { digits: [16, 0], humanReadable: cell.value >= 1e6 });
        }
        return formatInteger(cell.value);
    }

    formatTitle(row, later) {
        const cell = row.cells[later];
        return _t("%(month)s, %(later)s months later: %(left)s of %(started)s remain (%(share)s)", {
            month: this.formatMonth(row),
            later,
            left: this.formatValue(cell.value),
            started: this.formatValue(cell.base),
            share: formatPercentage(cell.share, { digits: [16, 1] }),
        });
    }

    heat(cell) {
        return Math.round(Math.min(Math.max(cell.share, 0), 1) * 100);
    }

    exportXlsx() {
        const { measure, months } = this.state;
        const context = { ...user.context, ...this.props.context };
        return download({
            url: "/subscriptions/retention/xlsx",
            data: {
                data: JSON.stringify({ measure, months, domain: this.props.domain, context }),
            },
        });
    }
}

registry.category("views").add("subscription_retention", {
    ...graphView,
    Controller: RetentionController,
    searchMenuTypes: ["filter", "favorite"],
    props: (genericProps) => genericProps,
});
