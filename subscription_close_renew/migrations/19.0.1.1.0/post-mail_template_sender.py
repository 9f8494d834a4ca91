def migrate(cr, version):
    """Keep the mail templates from naming an archived salesperson as the sender."""
    cr.execute(
        """
        UPDATE mail_template AS template
           SET email_from = replace(
                   template.email_from, 'user_id.email_formatted or', 'user_id.filtered(''active'').email_formatted or'
               )
          FROM ir_model_data AS data
         WHERE data.model = 'mail.template'
           AND data.module = 'subscription_close_renew'
           AND data.res_id = template.id
        """
    )
