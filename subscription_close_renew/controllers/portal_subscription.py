from odoo.fields import Domain
from odoo.http import request, route

from odoo.addons.portal.controllers.portal import pager as portal_pager

from .portal import SubscriptionPortal


class SubscriptionListPortal(SubscriptionPortal):
    """The list of a customer's subscriptions, and the page of each one."""

    def _prepare_home_portal_values(self, counters):
        values = super()._prepare_home_portal_values(counters)
        if "subscription_count" in counters:
            orders = request.env["sale.order"]
            readable = orders.has_access("read")
            values["subscription_count"] = orders.search_count(self._get_subscription_domain()) if readable else 0
        return values

    @route(
        ["/my/subscriptions", "/my/subscriptions/page/<int:page>"],
        type="http",
        auth="user",
        methods=["GET"],
        website=True,
    )
    def portal_my_subscriptions(self, page=1, sortby=None, filterby=None, search=None, search_in=None, **kwargs):
        """List the subscriptions of the logged-in customer and their company.

        :param int page: page of the list
        :param str sortby: a key of :meth:`_get_subscription_sortings`
        :param str filterby: a key of :meth:`_get_subscription_filters`
        :param str search: text to search for
        :param str search_in: a key of :meth:`_get_subscription_search_inputs`
        :return: the page
        """
        page = self._cast_as_int(page) or 1
        values = self._prepare_subscription_list_values(page, sortby, filterby, search, search_in)
        # Odoo's order page links to the previous and next order of the list that the customer comes from.
        request.session["my_orders_history"] = values["subscriptions"].ids[:100]
        return request.render("subscription_close_renew.portal_my_subscriptions", values)

    @route("/my/subscriptions/<int:order_id>", type="http", auth="public", methods=["GET"], website=True)
    def portal_subscription_page(self, order_id, access_token=None, **kwargs):
        """Show the page of a subscription, which is the page of its order.

        :param int order_id: id of the subscription, a `sale.order`
        :param str access_token: token of a link to the order, for users without access to it
        :param dict kwargs: further parameters of Odoo's order page
        :return: the page, a refusal page, or a redirect to the login
        """
        # The parameters for paying in advance only concern quotations, which keep Odoo's page.
        known = ("report_type", "message", "download")
        response = self.portal_order_page(
            order_id, access_token=access_token, **{name: kwargs[name] for name in known if name in kwargs}
        )
        # Odoo redirects users without access to the home page, without a message.
        if response.status_code != 303 or self._get_order_sudo(order_id, access_token):
            return response
        if request.env.user._is_public() and not access_token:
            return self._redirect_to_login()
        return self._render_no_access()

    def _get_page_view_values(self, document, *args, **kwargs):
        if document._name == "sale.order" and document.plan_id:
            document._prefetch_for_portal()
        return super()._get_page_view_values(document, *args, **kwargs)

    def _get_subscription_domain(self):
        """Return the domain of the logged-in customer's subscriptions, including those that have ended.

        :rtype: Domain
        """
        orders = request.env["sale.order"]
        return (
            Domain("partner_id", "child_of", request.env.user.partner_id.commercial_partner_id.ids)
            & Domain("state", "=", "sale")
            & Domain("subscription_state", "in", (*orders._get_running_states(), *orders._get_ended_states()))
        )

    def _get_subscription_sortings(self):
        """Return the sort orders that customers can choose for the list, the default first.

        :return: ``{key: {"label": …, "order": …}}``
        :rtype: dict
        """
        return {
            "date": {"label": request.env._("Newest"), "order": "start_date desc, id desc"},
            "next": {"label": request.env._("Next Invoice"), "order": "next_invoice_date, id desc"},
            "name": {"label": request.env._("Reference"), "order": "name, id desc"},
            "state": {"label": request.env._("Status"), "order": "subscription_state, end_date, id desc"},
        }

    def _get_subscription_filters(self):
        """Return the filters that customers can choose for the list, the default first.

        :return: ``{key: {"label": …, "domain": …}}``
        :rtype: dict
        """
        running = Domain("subscription_state", "in", request.env["sale.order"]._get_running_states())
        closing = Domain("is_closing", "=", True)
        return {
            "all": {"label": request.env._("All"), "domain": Domain.TRUE},
            "progress": {"label": request.env._("In Progress"), "domain": running & ~closing},
            "closing": {"label": request.env._("Closing"), "domain": closing},
            "closed": {"label": request.env._("Closed"), "domain": Domain("subscription_state", "=", "churned")},
        }

    def _get_subscription_search_inputs(self):
        """Return the search options of the list, the default first.

        :return: ``{key: {"input": key, "label": …, "domain": a function of the text}}``
        :rtype: dict
        """

        def by_name(text):
            return Domain("name", "ilike", text) | Domain("client_order_ref", "ilike", text)

        def by_product(text):
            return Domain("order_line.name", "ilike", text)

        return {
            "all": {
                "input": "all",
                "label": request.env._("Search in All"),
                "domain": lambda text: by_name(text) | by_product(text),
            },
            "name": {"input": "name", "label": request.env._("Search in Reference"), "domain": by_name},
            "product": {"input": "product", "label": request.env._("Search in Products"), "domain": by_product},
        }

    def _prepare_subscription_list_values(self, page, sortby, filterby, search, search_in):
        """Return the values of the list of subscriptions. Unknown options in the URL are replaced by the defaults.

        :rtype: dict
        """
        sortings, filters = self._get_subscription_sortings(), self._get_subscription_filters()
        inputs = self._get_subscription_search_inputs()
        sortby = sortby if sortby in sortings else next(iter(sortings))
        filterby = filterby if filterby in filters else next(iter(filters))
        search_in = search_in if search_in in inputs else next(iter(inputs))
        domain = self._get_subscription_domain() & filters[filterby]["domain"]
        if search:
            domain &= inputs[search_in]["domain"](search)
        orders = request.env["sale.order"]
        readable = orders.has_access("read")
        pager = portal_pager(
            url="/my/subscriptions",
            url_args={"sortby": sortby, "filterby": filterby, "search_in": search_in, "search": search or ""},
            total=orders.search_count(domain) if readable else 0,
            page=page,
            step=self._items_per_page,
        )
        if readable:
            order = sortings[sortby]["order"]
            orders = orders.search(domain, order=order, limit=self._items_per_page, offset=pager["offset"])
        return self._prepare_portal_layout_values() | {
            # sudo: the search above returns only subscriptions that the customer may see.
            "subscriptions": orders.sudo(),
            "page_name": "subscription",
            "default_url": "/my/subscriptions",
            "pager": pager,
            "sortby": sortby,
            "searchbar_sortings": sortings,
            "filterby": filterby,
            "searchbar_filters": filters,
            "search": search,
            "search_in": search_in,
            "searchbar_inputs": inputs,
            "is_narrowed": bool(search) or filterby != next(iter(filters)),
        }
