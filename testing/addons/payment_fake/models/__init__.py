from . import ir_actions_report, ir_cron, payment_provider, payment_transaction, sale_order
