from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tools import SQL, format_date

from ...tools.guard import as_method
from ..subscription.sale_order_access import UNTRACKED_KEYS


class SaleOrder(models.Model):
    """Renewing subscriptions: renewal quotations, and what happens when they are confirmed or cancelled."""

    _inherit = "sale.order"

    history_count = fields.Integer(compute="_compute_history_count")

    _one_renewal = models.UniqueIndex(
        "(subscription_id) WHERE subscription_id IS NOT NULL AND state = 'sale'",
        "This subscription has already been renewed by another order.",
    )

    @api.depends("origin_order_id")
    def _compute_history_count(self):
        origins = self.origin_order_id
        counts = {}
        if origins:
            counts = dict(self._read_group([("origin_order_id", "in", origins.ids)], ["origin_order_id"], ["__count"]))
        for order in self:
            order.history_count = counts.get(order.origin_order_id, 0)

    def _write_by_hand(self, vals):
        res = super()._write_by_hand(vals)
        if vals.keys() & {"partner_id", "company_id"}:
            subscriptions = self.filtered("plan_id")
            # Also check a subscription that gets another customer: its open renewal quotation is for the old one.
            (subscriptions | subscriptions._get_open_renewals())._check_renewed_customer()
        return res

    def action_draft(self):
        self.filtered("plan_id")._check_renewed_customer()
        self._check_only_open_renewal()
        return super().action_draft()

    def action_subscription_renew(self):
        """Open the renewal quotation of a subscription, created if necessary, or the pop-up that renews several.

        :return: a window action
        :rtype: dict
        :raises AccessError: if the user may not change one of the orders
        :raises UserError: if none of the subscriptions can be renewed
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
        """Return the open renewal quotation of a subscription, or create one.

        The quotation has the customer, recurring plan, recurring lines, prices (according to the plan), discounts and
        payment method of the subscription, and starts where the paid period ends. Once confirmed, it replaces the
        subscription. The validity of an expired quotation is extended.

        :return: id of the quotation
        :rtype: int
        :raises AccessError: if the user may not change the order or create quotations
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
        """Open all orders of this subscription: the first one and its renewals.

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
        """Return the reason why an order cannot renew its subscription if customer or company differ, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        # sudo: the user may not have access to the subscription; only its customer and company are compared.
        parent = self.subscription_id.sudo()
        same_customer = self.partner_id.sudo().commercial_partner_id == parent.partner_id.commercial_partner_id
        if same_customer and self.company_id == parent.company_id:
            return False
        return self.env._(
            "%(order)s renews %(parent)s, so it must be for the same customer and company. For another customer, "
            "create a new quotation.",
            order=self.display_name,
            parent=parent.name,
        )

    def _check_renewed_customer(self):
        """Refuse renewals of subscriptions of another customer or company.

        :raises UserError: naming the first such order
        """
        # sudo: the user may not have access to both orders; Odoo has checked the right to change one of them.
        for order in self.sudo().filtered("subscription_id"):
            if refusal := order._get_renewed_customer_refusal():
                raise UserError(refusal)

    def _check_only_open_renewal(self):
        """Refuse to reset a cancelled renewal quotation while its subscription has another open one.

        :raises UserError: naming the first such quotation, and the other one
        """
        for order in self.filtered(lambda order: order.state == "cancel" and order.subscription_id):
            # sudo: the user may not have access to the other quotation; Odoo has checked the right to this one.
            others = order.subscription_id.sudo()._get_open_renewals() - order
            if others:
                raise UserError(
                    self.env._(
                        "%(subscription)s already has an open renewal quotation: %(renewal)s. Cancel it before you set "
                        "%(order)s to quotation.",
                        subscription=order.subscription_id.sudo().name,
                        renewal=others[0].name,
                        order=order.display_name,
                    )
                )

    def _lock_for_renewal(self):
        """Lock these subscriptions so that nobody else renews them until this transaction ends."""
        # An UPDATE rather than a row lock: it makes a second transaction start over and see the quotation of the first.
        self.env.cr.execute(SQL("UPDATE sale_order SET write_date = write_date WHERE id IN %s", tuple(self.ids)))

    def _get_open_renewals(self):
        """Return the latest open renewal quotation of each of these subscriptions.

        :rtype: sale.order
        """
        # sudo: the quotation may belong to a colleague; callers have checked the right to the subscription.
        renewals = self.sudo().search(
            [("subscription_id", "in", self.ids), ("state", "in", ("draft", "sent"))], order="id desc"
        )
        latest = [found[0].id for found in renewals.grouped("subscription_id").values()]
        return self.browse(latest)

    def _get_renew_refusals(self):
        """Return the reasons why subscriptions cannot be renewed, one per line; empty if all can.

        :rtype: str
        """
        if not self:
            return self.env._("Select at least one subscription to renew.")
        return "\n".join(refusal for order in self if (refusal := order._get_renew_refusal()))

    def _get_renew_refusal(self):
        """Return the reason why a subscription cannot be renewed and what to do, or False if it can.

        :rtype: str | bool
        """
        self.ensure_one()
        return self._get_renew_state_refusal() or self._get_first_payment_refusal()

    def _get_renew_state_refusal(self):
        """Return the reason why the state of a subscription does not allow a renewal, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        if refusal := self._get_state_refusal("renew"):
            return refusal
        if self.payment_exception:
            return self.env._(
                "The outcome of a payment of %(order)s is unknown. To renew it, resolve the payment failure first.",
                order=self.display_name,
            )
        return False

    @api.model
    def _get_state_refusals(self, action):
        refusals = super()._get_state_refusals(action)
        if action == "renew":
            quotation = self.env._(
                "%(order)s is not confirmed. To renew it, first confirm it, invoice its first period and register "
                "the payment."
            )
            refusals |= dict.fromkeys(("quotation", "renewal"), quotation)
            refusals[False] = self.env._("%(order)s has no recurring plan. Only subscriptions can be renewed.")
            refusals["paused"] = self.env._("%(order)s is paused. To renew it, resume it first.")
            refusals["churned"] = self.env._(
                "%(order)s has been closed (Churned) since %(date)s and cannot be renewed. Create a new quotation, or "
                "ask an administrator to reopen it."
            )
            refusals["renewed"] = self.env._(
                "%(order)s has already been renewed by %(renewal)s. Renew that order instead."
            )
        return refusals

    def _prepare_refusal_values(self):
        # sudo: the renewal may belong to a colleague; callers have checked the right to the subscription, and only the name
        # is read.
        renewal = self.sudo().renewal_ids.filtered(lambda order: order.state == "sale")
        return super()._prepare_refusal_values() | {"renewal": ", ".join(renewal.mapped("name"))}

    def _get_first_payment_refusal(self):
        """Return what is missing for the invoice and the payment of the first period, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        # sudo: salespeople may not have access to the invoices; only whether they exist and are paid is read.
        order = self.sudo()
        first = order._get_billed_periods().sorted("date_start")[:1]
        if not first:
            return self.env._(
                "The first period of %(order)s is not invoiced. To renew the subscription, first create and post the "
                "invoice and register its payment.",
                order=self.display_name,
            )
        if first._is_paid() or self.currency_id.is_zero(first.amount):
            return False
        return self.env._(
            "The invoice %(invoice)s of the first period of %(order)s is not paid. To renew the subscription, register "
            "the payment first.",
            invoice=first._get_open_invoice().name,
            order=self.display_name,
        )

    def _make_renewals(self):
        """Create the renewal quotations of these subscriptions, and link them in the chatter.

        Prices are raised according to the recurring plans, or by the percentage granted with
        :data:`~.sale_subscription_plan.RENEWAL_INCREASE`.

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
        """Update the prices of combo items if renewals follow the pricelist."""
        for order in self:
            if order.plan_id._get_renewal_increase() is None:
                for line in order.order_line.filtered("combo_item_id"):
                    line._reset_price_unit()

    def _link_renewals(self, renewals):
        """Link subscriptions and their renewal quotations to each other in the chatter.

        :param renewals: `sale.order`, one for each subscription, in the same order
        """
        pairs = list(zip(self, renewals, strict=True))
        renewals._message_log_batch(
            {
                renewal.id: self.env._("Renews the subscription %(link)s.", link=order._get_html_link())
                for order, renewal in pairs
            }
        )
        self._message_log_batch(
            {
                order.id: self.env._("Renewal quotation %(link)s created.", link=renewal._get_html_link())
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
                # The plan comes from the subscription, so it stays when a product is removed.
                "plan_by_default": False,
                "order_line": [
                    Command.create(line._prepare_renewal_values() | line._prepare_renewal_links(lines))
                    for line in lines
                ],
            }
        )
        return values

    def _get_lines_to_renew(self):
        """Return the recurring lines of a subscription, with the combos they are part of and their sections.

        Lines that Odoo or another addon does not copy are left out, and so are rewards.

        :rtype: sale.order.line
        """
        self.ensure_one()
        copiable = self._get_copiable_order_lines().filtered(lambda line: not line._is_reward())
        recurring = copiable.filtered("is_recurring")
        lines = recurring | recurring.filtered("combo_item_id").linked_line_id
        sections = lines.parent_id | lines.parent_id.parent_id
        return (lines | sections).sorted(lambda line: (line.sequence, line.id))

    def _renew_validity(self):
        """Extend the validity of expired renewal quotations, as if they were new."""
        # sudo: the quotation may belong to a colleague; callers have checked the right to the subscription.
        expired = self.sudo().filtered("is_expired")
        expired._compute_validity_date()
        expired.invalidate_recordset(["is_expired"])

    def _get_renewal_url(self):
        """Return the portal URL where the customer can read and decline a renewal quotation.

        :return: the URL; that of the portal's home page for any other order, such as one that a mail template is checked
            with
        :rtype: str
        """
        self.ensure_one()
        return self.get_portal_url() if self.subscription_id else "/my"

    def _find_mail_template(self):
        template = super()._find_mail_template()
        if self.subscription_state != "renewal" or self.env.context.get("proforma"):
            return template
        # Administrators can archive this template to use the standard one.
        renewal = self.env.ref("subscription_close_renew.mail_template_renewal", raise_if_not_found=False)
        return renewal if renewal and renewal.active else template

    def _get_plan_error_message(self):
        return super()._get_plan_error_message() or self._get_renewal_error_message()

    def _get_renewal_error_message(self):
        """Return the reason why a renewal cannot replace its subscription, or False.

        :rtype: str | bool
        """
        self.ensure_one()
        # sudo: the subscription may belong to a colleague; Odoo checks the right to confirm the renewal.
        parent = self.subscription_id.sudo()
        if not parent or self.state == "sale":
            return False
        if not self.plan_id:
            # As an ordinary order, it would not close its subscription, yet block other renewals of it.
            return self._get_state_refusal("renew")
        if refusal := self._get_renewed_customer_refusal():
            return refusal
        if refusal := parent._get_renew_state_refusal():
            return self.env._("%(order)s cannot be confirmed: %(reason)s", order=self.display_name, reason=refusal)
        date, billed_until = parent._get_next_unbilled_date(), parent._get_billed_until()
        if billed_until and date < billed_until:
            return self.env._(
                "%(order)s cannot be confirmed: the period of %(parent)s that starts on %(date)s is no longer invoiced, "
                "but later ones are. Invoice that period first.",
                order=self.display_name,
                parent=parent.name,
                date=format_date(self.env, date),
            )
        return False

    def _start_subscription(self):
        """End the renewed subscriptions where their renewals start, in the same transaction."""
        renewals = self.filtered("subscription_id")
        # sudo: the subscription may belong to a colleague; Odoo has checked the right to confirm the renewal.
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
            parent._cancel_renewal_quotations()
        return res

    def _settle_before_renewal(self):
        """Drop the draft invoices of subscriptions about to be renewed: the renewal bills those periods."""
        for order in self:
            date = order._get_next_unbilled_date()
            order.period_ids._drop_drafts()
            recurring = order.order_line.filtered("is_recurring")
            lines = recurring.invoice_lines.filtered(lambda line: line.parent_state == "draft")
            later = [line.id for line in lines if (line.subscription_period_start or date) >= date]
            if later:
                lines.browse(later).move_id.button_cancel()
            order._hand_over_unpaid()

    def _hand_over_unpaid(self):
        """Ask a colleague to collect the unpaid invoices of a renewed subscription, which are no longer charged."""
        self.ensure_one()
        retried = self.period_ids.filtered("retry_date")
        if not retried:
            return
        retried.retry_date = False
        self._ask_for_attention(
            self.env._("Unpaid invoice of a renewed subscription"),
            self.env._(
                "The payment of %(invoices)s was declined. It will not be retried automatically because the subscription "
                "was renewed. Ask the customer to pay.",
                invoices=", ".join(period._get_open_invoice().name for period in retried if period._get_open_invoice()),
            ),
        )

    def _prepare_renewed_values(self):
        """Return the values of a renewed subscription; a scheduled close is cancelled.

        :rtype: dict
        """
        self.ensure_one()
        return {"next_invoice_date": False, **(self._prepare_keep_values() if self.is_closing else {})}

    def _prepare_subscription_start_values(self):
        values = super()._prepare_subscription_start_values()
        # sudo: the subscription may belong to a colleague; Odoo checks the right to confirm the renewal.
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
        """Continue the subscriptions whose renewal is cancelled."""
        res = super()._cancel_subscription()
        for order in self.filtered("subscription_id"):
            # sudo: the subscription may belong to a colleague; Odoo has checked the right to cancel the renewal.
            parent = order.subscription_id.sudo()
            if parent.subscription_state == "renewed":
                parent._transition_subscription(
                    "unrenew",
                    {"next_invoice_date": parent._get_next_unbilled_date()},
                    message=self.env._("The renewal was cancelled: the subscription continues."),
                )
                parent._take_over_mrr(order)
        return res

    def _close(self):
        """Cancel the open renewal quotations of closed subscriptions."""
        res = super()._close()
        self._cancel_renewal_quotations()
        return res

    def _cancel_renewal_quotations(self):
        """Cancel all open renewal quotations of subscriptions, and log it in the chatter whatever the caller's context."""
        # sudo: the quotations may belong to a colleague; the caller has checked the right to end the subscription.
        renewals = self.sudo().renewal_ids.filtered(lambda order: order.state in ("draft", "sent"))
        if renewals:
            renewals.with_context(**dict.fromkeys(UNTRACKED_KEYS, False))._action_cancel()
