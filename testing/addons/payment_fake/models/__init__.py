from . import account_move_send, ir_actions_report, payment_provider, payment_transaction, sale_order
