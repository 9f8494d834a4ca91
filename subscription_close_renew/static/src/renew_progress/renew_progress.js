import { Component, onWillDestroy, useState } from "@odoo/owl";
import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { useService } from "@web/core/utils/hooks";
import { standardWidgetProps } from "@web/views/widgets/standard_widget_props";

const MODEL = "sale.subscription.renew.wizard";
// Each step is its own transaction, so stopping keeps the quotations created so far.
const STEP = 10;

/**
 * The button that renews several subscriptions and shows the progress.
 */
export class RenewProgress extends Component {
    static template = "subscription_close_renew.RenewProgress";
    static props = { ...standardWidgetProps };

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        this.notification = useService("notification");
        this.state = useState({ phase: "ready", done: 0, total: 0 });
        onWillDestroy(() => this.stop());
    }

    get width() {
        return this.state.total ? Math.round((this.state.done / this.state.total) * 100) : 0;
    }

    get progressLabel() {
        return _t("%(done)s of %(total)s", { done: this.state.done, total: this.state.total });
    }

    stop() {
        if (this.state.phase === "running") {
            this.state.phase = "stopping";
        }
    }

    async renew() {
        const record = this.props.record;
        if (!(await record.save())) {
            return;
        }
        this.state.phase = "running";
        try {
            while (this.state.phase === "running") {
                const before = this.state.done;
                const { done, total } = await this.call("renew_next", STEP);
                Object.assign(this.state, { done, total });
                if (done >= total || done === before) {
                    return await this.finish();
                }
            }
        } finally {
            this.state.phase = "stopped";
        }
    }

    async finish() {
        if (!this.state.total) {
            // The answer is the reason why none can be renewed.
            return this.call("action_submit");
        }
        const [{ renewal_ids: renewals, failed_ids: failed }] = await this.orm.webRead(
            MODEL,
            [this.props.record.resId],
            {
                specification: { renewal_ids: {}, failed_ids: { fields: { display_name: {} } } },
            }
        );
        if (failed.length) {
            const names = failed.map((order) => order.display_name).join(", ");
            this.notification.add(
                _t("Not renewed, see their activities: %(orders)s", { orders: names }),
                { type: "warning", sticky: true }
            );
        }
        if (!renewals.length) {
            return this.action.doAction({ type: "ir.actions.act_window_close" });
        }
        this.notification.add(_t("Renewal quotations: %(count)s", { count: renewals.length }), {
            type: "success",
        });
        return this.action.doAction(await this.call("action_open_renewals"));
    }

    call(method, ...args) {
        return this.orm.call(MODEL, method, [[this.props.record.resId], ...args]);
    }
}

registry.category("view_widgets").add("subscription_renew_progress", {
    component: RenewProgress,
    additionalClasses: ["d-flex", "flex-grow-1", "flex-md-grow-0", "flex-shrink-0"],
});
