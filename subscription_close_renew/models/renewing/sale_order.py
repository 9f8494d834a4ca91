from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tools import SQL, format_date

from ..subscription.sale_order_access import UNTRACKED_KEYS
from ..subscription.sale_subscription_guard_mixin import as_method


class SaleOrder(models.Model):
    """Renewing a subscription: its renewal quotation, and what happens when that is confirmed or cancelled."""

    _inherit = "sale.order"

    history_count = fields.Integer(compute="_compute_history_count")

    _one_renewal = models.UniqueIndex(
        "(subscription_id) WHERE subscription_id IS NOT NULL AND state = 'sale'",
        "This subscription was renewed by another order already.",
    )

    @api.depends("origin_order_id")
    def _compute_history_count(self):
        origins = self.origin_order_id
        counts = {}
        if origins:
            counts = dict(self._read_group([("origin_order_id", "in", origins.ids)], ["origin_order_id"], ["__count"]))
        for order in self:
            order.history_count = counts.get(order.origin_order_id, 0)

    def write(self, vals):
        res = super().write(vals)
        if vals.keys() & {"partner_id", "company_id", "subscription_id"}:
            subscriptions = self.filtered("plan_id")
            # Of a subscription that goes to another customer, too: its Renew would open the quotation of this one.
            (subscriptions | subscriptions._get_open_renewals())._check_renewed_customer()
        return res

    def action_draft(self):
        self.filtered("plan_id")._check_renewed_customer()
        self._check_only_open_renewal()
        return super().action_draft()

    def action_subscription_renew(self):
        """Open the renewal quotation of a subscription, made now or found; or the pop-up that renews several.

        :return: a window action
        :rtype: dict
        :raises AccessError: if the user may not change one of the orders
        :raises UserError: if it cannot be renewed, or none of several can
        """
        self._check_subscription_access()
        if len(self) != 1:
            return self._action_renew_several()
        renewal = self.browse(self.subscription_renew())
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Renewal Quotation"),
            "res_model": "sale.order",
            "res_id": renewal.id,
            "view_mode": "form",
            "views": [(self.env.ref("sale.view_order_form").id, "form")],
        }

    def _action_renew_several(self):
        if not self.filtered(lambda order: not order._get_renew_refusal()):
            raise UserError(self._get_renew_refusals())
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "subscription_close_renew.sale_subscription_renew_wizard_action"
        )
        return action | {"context": {"default_order_ids": self.ids}}

    def subscription_renew(self):
        """Make the quotation that renews a subscription, or find the one that is open; if it has expired, it is valid again.

        It has the customer, plan, recurring lines, prices (as the plan says), discounts and payment method of the
        subscription, and begins where the paid period ends. Confirmed, it takes the place of the subscription.

        :return: id of the quotation
        :rtype: int
        :raises AccessError: if the user may not change the order, or make quotations
        :raises UserError: if the subscription cannot be renewed, with the reason
        """
        self.ensure_one()
        self._check_subscription_access()
        self._lock_for_renewal()
        renewal = self._get_open_renewals()[:1]
        renewal._check_renewed_customer()
        renewal._renew_validity()
        if not renewal:
            if refusal := self._get_renew_refusal():
                raise UserError(refusal)
            renewal = self._make_renewals()
        return renewal.id

    def action_subscription_history(self):
        """Open all orders of this subscription: the one that began it, and those that renewed it.

        :return: a window action
        :rtype: dict
        """
        self.ensure_one()
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "subscription_close_renew.sale_subscription_history_action"
        )
        return action | {
            "display_name": self.env._("Sales History of %(order)s", order=self.name),
            "domain": [("origin_order_id", "=", self.origin_order_id.id)],
        }

    def _get_renewed_customer_refusal(self):
        """Return why an order cannot renew the subscription that it renews, of another customer or company; or False.

        :rtype: str | bool
        """
        self.ensure_one()
        # Only whose the subscription is, for whoever may change the order.
        parent = self.subscription_id.sudo()
        same_customer = self.partner_id.sudo().commercial_partner_id == parent.partner_id.commercial_partner_id
        if same_customer and self.company_id == parent.company_id:
            return False
        return self.env._(
            "%(order)s renews %(parent)s, so it must be for the same customer and company. For another customer, make "
            "a new quotation.",
            order=self.display_name,
            parent=parent.name,
        )

    def _check_renewed_customer(self):
        """Refuse renewals of what belongs to another customer or company.

        :raises UserError: naming the first such order
        """
        # sudo: only the customer and the company of both are compared, and the user may change one of them.
        for order in self.sudo().filtered("subscription_id"):
            if refusal := order._get_renewed_customer_refusal():
                raise UserError(refusal)

    def _check_only_open_renewal(self):
        """Refuse to take a cancelled renewal quotation back while its subscription has another.

        :raises UserError: naming the first such quotation, and the other one
        """
        for order in self.filtered(lambda order: order.state == "cancel" and order.subscription_id):
            # Whoever may take the quotation back is told which one took its place.
            others = order.subscription_id.sudo()._get_open_renewals() - order
            if others:
                raise UserError(
                    self.env._(
                        "%(subscription)s has an open renewal quotation already: %(renewal)s. Cancel that one before you "
                        "take %(order)s back.",
                        subscription=order.subscription_id.sudo().name,
                        renewal=others[0].name,
                        order=order.display_name,
                    )
                )

    def _lock_for_renewal(self):
        """Let nobody else renew these subscriptions until this transaction ends."""
        # Who comes second has to see what the first one made: a row that is only locked would not make it start anew.
        self.env.cr.execute(SQL("UPDATE sale_order SET write_date = write_date WHERE id IN %s", tuple(self.ids)))

    def _get_open_renewals(self):
        """Return the quotations that would renew these subscriptions, for each the latest.

        :rtype: sale.order
        """
        # Whoever may renew a subscription finds the quotation that a colleague has made.
        renewals = self.sudo().search(
            [("subscription_id", "in", self.ids), ("state", "in", ("draft", "sent"))], order="id desc"
        )
        latest = [found[0].id for found in renewals.grouped("subscription_id").values()]
        return self.browse(latest)

    def _get_renew_refusals(self):
        """Return why these subscriptions cannot be renewed, a sentence a line; empty if all can.

        :rtype: str
        """
        if not self:
            return self.env._("Select at least one subscription to renew.")
        return "\n".join(refusal for order in self if (refusal := order._get_renew_refusal()))

    def _get_renew_refusal(self):
        """Return why a subscription cannot be renewed, and what to do; or False if it can.

        :rtype: str | bool
        """
        self.ensure_one()
        return self._get_renew_state_refusal() or self._get_first_payment_refusal()

    def _get_renew_state_refusal(self):
        """Return why nothing can take the place of a subscription at present, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        if refusal := self._get_state_refusal("renew"):
            return refusal
        if self.payment_exception:
            return self.env._(
                "The outcome of a payment of %(order)s is unknown. Resolve the payment failure: then it can be renewed.",
                order=self.display_name,
            )
        return False

    @api.model
    def _get_state_refusals(self, action):
        refusals = super()._get_state_refusals(action)
        if action == "renew":
            quotation = self.env._(
                "%(order)s is not confirmed. Confirm it, invoice its first period and register the payment: then it can "
                "be renewed."
            )
            refusals |= dict.fromkeys(("quotation", "renewal"), quotation)
            refusals[False] = self.env._(
                "%(order)s has no recurring plan, so there is nothing to renew: only subscriptions are renewed."
            )
            refusals["paused"] = self.env._("%(order)s is paused. Resume it: then it can be renewed.")
            refusals["churned"] = self.env._(
                "%(order)s is closed (Churned) since %(date)s, so it cannot be renewed. Make a new quotation, or have an "
                "administrator reopen it."
            )
            refusals["renewed"] = self.env._("%(order)s was renewed by %(renewal)s already: renew that order instead.")
        return refusals

    def _prepare_refusal_values(self):
        # sudo: only the name is given away, to users who may renew the subscription.
        renewal = self.sudo().renewal_ids.filtered(lambda order: order.state == "sale")
        return super()._prepare_refusal_values() | {"renewal": ", ".join(renewal.mapped("name"))}

    def _get_first_payment_refusal(self):
        """Return what is missing of the first period's invoice and payment, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        # Invoices need not be the documents of whoever renews; that they are there and paid is told.
        order = self.sudo()
        first = order._get_billed_periods().sorted("date_start")[:1]
        if not first:
            return self.env._(
                "The first period of %(order)s is not invoiced. Create and post its invoice and register the payment: "
                "then it can be renewed.",
                order=self.display_name,
            )
        if first._is_paid() or self.currency_id.is_zero(first.amount):
            return False
        return self.env._(
            "The invoice %(invoice)s of the first period of %(order)s is not paid. Register its payment: then the "
            "subscription can be renewed.",
            invoice=first._get_open_invoice().name,
            order=self.display_name,
        )

    def _make_renewals(self):
        """Make the quotations that renew these subscriptions, and link them in the chatters.

        Prices are raised as the plans say, or as :data:`~.sale_subscription_plan.RENEWAL_INCREASE` was granted.

        :rtype: sale.order
        """
        made = self.browse()
        for company, orders in self.grouped("company_id").items():
            dates = orders._get_next_unbilled_dates()
            vals_list = [order._prepare_renewal_values(dates[order.id]) for order in orders]
            orders = orders.with_company(company)
            renewals = as_method(orders).create(vals_list).with_env(orders.env)
            renewals._update_combo_prices()
            orders._link_renewals(renewals)
            made += renewals
        return made

    def _update_combo_prices(self):
        """Let the parts of combos have the price of today, where renewals follow the pricelist."""
        for order in self:
            if order.plan_id._get_renewal_increase() is None:
                for line in order.order_line.filtered("combo_item_id"):
                    line._reset_price_unit()

    def _link_renewals(self, renewals):
        """Let the chatters of subscriptions and of their renewal quotations lead to each other.

        :param renewals: `sale.order`, one for each subscription, in the same order
        """
        pairs = list(zip(self, renewals, strict=True))
        renewals._message_log_batch(
            {
                renewal.id: self.env._("This renews the subscription %(link)s.", link=order._get_html_link())
                for order, renewal in pairs
            }
        )
        self._message_log_batch(
            {
                order.id: self.env._("Renewal quotation %(link)s was made.", link=renewal._get_html_link())
                for order, renewal in pairs
            }
        )

    def _prepare_renewal_values(self, start_date):
        """Return the values of the quotation that renews a subscription.

        :param date start_date: first day of the renewal
        :rtype: dict
        """
        self.ensure_one()
        lines = self._get_lines_to_renew()
        [values] = self.copy_data(
            {
                "subscription_id": self.id,
                "start_date": start_date,
                "payment_token_id": self.payment_token_id.id,
                # It is that of the subscription: it does not leave along with a product.
                "plan_by_default": False,
                "order_line": [
                    Command.create(line._prepare_renewal_values() | line._prepare_renewal_links(lines))
                    for line in lines
                ],
            }
        )
        return values

    def _get_lines_to_renew(self):
        """Return the recurring lines of a subscription, with the combos that they are part of and their sections.

        What Odoo, or another addon, leaves out of copies stays behind, and so do rewards.

        :rtype: sale.order.line
        """
        self.ensure_one()
        copiable = self._get_copiable_order_lines().filtered(lambda line: not line._is_reward())
        recurring = copiable.filtered("is_recurring")
        lines = recurring | recurring.filtered("combo_item_id").linked_line_id
        sections = lines.parent_id | lines.parent_id.parent_id
        return (lines | sections).sorted(lambda line: (line.sequence, line.id))

    def _renew_validity(self):
        """Let renewal quotations that have expired be valid for as long as new ones."""
        # Whoever may renew a subscription, checked by the caller, may do it with the quotation of a colleague.
        expired = self.sudo().filtered("is_expired")
        expired._compute_validity_date()
        expired.invalidate_recordset(["is_expired"])

    def _get_renewal_url(self):
        """Return where the customer sees a renewal quotation in the portal, and may decline it.

        :return: that of the portal's home for any other order, which the check of a mail template may come with
        :rtype: str
        """
        self.ensure_one()
        return self.get_portal_url() if self.subscription_id else "/my"

    def _find_mail_template(self):
        template = super()._find_mail_template()
        if self.subscription_state != "renewal" or self.env.context.get("proforma"):
            return template
        # An administrator who wants the ordinary mail archives this one.
        renewal = self.env.ref("subscription_close_renew.mail_template_renewal", raise_if_not_found=False)
        return renewal if renewal and renewal.active else template

    def _get_plan_error_message(self):
        return super()._get_plan_error_message() or self._get_renewal_error_message()

    def _get_renewal_error_message(self):
        """Return why a renewal cannot take the place of what it renews, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        # Whoever may confirm the renewal is told what is wrong with what it renews.
        parent = self.subscription_id.sudo()
        if not parent or self.state == "sale":
            return False
        if not self.plan_id:
            # As an ordinary order, it would leave what it renews running, and keep others from renewing it.
            return self._get_state_refusal("renew")
        if refusal := self._get_renewed_customer_refusal():
            return refusal
        if refusal := parent._get_renew_state_refusal():
            return self.env._("%(order)s cannot be confirmed: %(reason)s", order=self.display_name, reason=refusal)
        date, billed_until = parent._get_next_unbilled_date(), parent._get_billed_until()
        if billed_until and date < billed_until:
            return self.env._(
                "%(order)s cannot be confirmed: a period of %(parent)s that begins on %(date)s is not invoiced any more, "
                "while later ones are. Invoice that period first.",
                order=self.display_name,
                parent=parent.name,
                date=format_date(self.env, date),
            )
        return False

    def _start_subscription(self):
        """Let the orders that renewals renew end where these begin, in the same transaction."""
        renewals = self.filtered("subscription_id")
        # Whoever may confirm the renewal may end what it renews, also when that is a colleague's.
        renewals.subscription_id.sudo()._settle_before_renewal()
        res = super()._start_subscription()
        for order in renewals:
            parent = order.subscription_id.sudo()
            parent._transition_subscription(
                "renew",
                parent._prepare_renewed_values(),
                message=self.env._("Renewed by %(link)s.", link=order._get_html_link()),
            )
            order._take_over_mrr(parent)
            (parent.renewal_ids - order).filtered(lambda other: other.state in ("draft", "sent"))._action_cancel()
        return res

    def _settle_before_renewal(self):
        """Drop the invoices in preparation of subscriptions that are about to be renewed: the renewal bills from there."""
        for order in self:
            date = order._get_next_unbilled_date()
            order.period_ids._drop_drafts()
            recurring = order.order_line.filtered("is_recurring")
            lines = recurring.invoice_lines.filtered(lambda line: line.parent_state == "draft")
            later = [line.id for line in lines if (line.subscription_period_start or date) >= date]
            lines.browse(later).move_id.button_cancel()
            order._hand_over_unpaid()

    def _hand_over_unpaid(self):
        """Leave the unpaid invoices of a subscription that is renewed to people: nothing charges them any more."""
        self.ensure_one()
        retried = self.period_ids.filtered("retry_date")
        if not retried:
            return
        retried.retry_date = False
        self._ask_for_attention(
            self.env._("Unpaid invoice of a renewed subscription"),
            self.env._(
                "The payment of %(invoices)s was declined, and is not tried again by itself now that the subscription is "
                "renewed. Have the customer pay.",
                invoices=", ".join(period._get_open_invoice().name for period in retried if period._get_open_invoice()),
            ),
        )

    def _prepare_renewed_values(self):
        """Return the values of a subscription that is renewed; a planned close is forgotten.

        :rtype: dict
        """
        self.ensure_one()
        return {"next_invoice_date": False, **(self._prepare_keep_values() if self.is_closing else {})}

    def _prepare_subscription_start_values(self):
        values = super()._prepare_subscription_start_values()
        # Only dates are read, for whoever may confirm the renewal.
        parent = self.subscription_id.sudo()
        if parent:
            start_date = parent._get_next_unbilled_date()
            same_periods = parent.plan_id._has_same_periods(self.plan_id)
            values |= {
                "start_date": start_date,
                "next_invoice_date": start_date,
                "anchor_date": parent.anchor_date if same_periods else start_date,
            }
        return values

    def _cancel_subscription(self):
        """Let the subscription go on that a cancelled renewal has renewed."""
        res = super()._cancel_subscription()
        for order in self.filtered("subscription_id"):
            # Whoever may cancel the renewal may let go on what it had renewed.
            parent = order.subscription_id.sudo()
            if parent.subscription_state == "renewed":
                parent._transition_subscription(
                    "unrenew",
                    {"next_invoice_date": parent._get_next_unbilled_date()},
                    message=self.env._(
                        "The order that renewed this subscription was cancelled: the subscription goes on."
                    ),
                )
                parent._take_over_mrr(order)
        return res

    def _close(self):
        """Cancel the open renewal quotations of closed subscriptions."""
        res = super()._close()
        # Whoever may close the subscription may cancel its renewal quotations, also those of a colleague.
        renewals = self.sudo().renewal_ids.filtered(lambda order: order.state in ("draft", "sent"))
        # The chatter of each says so, whatever the context of the caller.
        renewals.with_context(**dict.fromkeys(UNTRACKED_KEYS, False))._action_cancel()
        return res
