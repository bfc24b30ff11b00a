//! The JSON of subscriptions, invoices and what belongs to them, in Stripe's exact shapes.

use serde_json::{Value, json};

use super::catalog;
use super::invoice_model::{Invoice, InvoiceItem, InvoicePayment, Line, LinePrice, LineTax};
use super::model::{Item, PendingUpdate, Status, Subscription};
use crate::account::Account;

/// `automatic_tax` of a subscription or a schedule's phase.
pub(crate) fn automatic_tax(enabled: bool) -> Value {
    let liability = if enabled {
        json!({ "account": null, "type": "self" })
    } else {
        Value::Null
    };
    json!({ "disabled_reason": null, "enabled": enabled, "liability": liability })
}

/// `billing_mode`.
pub(crate) fn billing_mode(flexible: bool) -> Value {
    if flexible {
        json!({ "flexible": { "proration_discounts": "included" }, "type": "flexible" })
    } else {
        json!({ "flexible": null, "type": "classic" })
    }
}

/// A subscription.
pub(crate) fn subscription(subscription: &Subscription, account: &Account) -> Value {
    let mut object = subscription_head(subscription, account);
    extend(&mut object, subscription_rest(subscription, account));
    object
}

fn subscription_head(subscription: &Subscription, account: &Account) -> Value {
    let items: Vec<Value> = subscription
        .items
        .iter()
        .map(|own| item(own, subscription, account))
        .collect();
    let count = items.len();
    let cancellation = &subscription.cancellation;
    json!({
        "id": subscription.id,
        "object": "subscription",
        "application": null,
        "application_fee_percent": subscription.application_fee_percent,
        "automatic_tax": automatic_tax(subscription.automatic_tax),
        "billing_cycle_anchor": subscription.billing_cycle_anchor,
        "billing_cycle_anchor_config": subscription.anchor_config,
        "billing_mode": billing_mode(subscription.flexible),
        "billing_schedules": [],
        "billing_thresholds": null,
        "cancel_at": subscription.cancel_at,
        "cancel_at_period_end": subscription.cancel_at_period_end,
        "canceled_at": subscription.canceled_at,
        "cancellation_details": {
            "comment": cancellation.comment,
            "feedback": cancellation.feedback,
            "feedback_option": null,
            "reason": cancellation.reason,
        },
        "collection_method": subscription.collection_method.as_str(),
        "created": subscription.created,
        "currency": subscription.currency,
        "customer": subscription.customer,
        "customer_account": null,
        "days_until_due": subscription.days_until_due,
        "default_payment_method": subscription.default_payment_method,
        "default_source": subscription.default_source,
        "default_tax_rates": tax_rates(&subscription.default_tax_rates, account),
        "description": subscription.description,
        "discounts": subscription.discounts,
        "ended_at": subscription.ended_at,
        "invoice_settings": subscription.invoice_settings,
        "items": {
            "object": "list",
            "data": items,
            "has_more": false,
            "total_count": count,
            "url": format!("/v1/subscription_items?subscription={}", subscription.id),
        },
        "latest_invoice": subscription.latest_invoice,
        "livemode": subscription.livemode,
        "managed_payments": { "enabled": false },
        "metadata": subscription.metadata,
    })
}

fn subscription_rest(subscription: &Subscription, account: &Account) -> Value {
    let pause = subscription.pause_collection.map(
        |pause| json!({ "behavior": pause.behavior.as_str(), "resumes_at": pause.resumes_at }),
    );
    let status_details = subscription
        .paused
        .filter(|_| subscription.status == Status::Paused);
    let status_details = status_details.map(|(reason, at)| {
        json!({ "paused": {
            "subscription": { "type": reason }, "transitioned_at": at, "type": "subscription",
        } })
    });
    json!({
        "next_pending_invoice_item_invoice": null,
        "on_behalf_of": null,
        "pause_collection": pause,
        "payment_settings": subscription.payment_settings,
        "pending_invoice_item_interval": subscription.pending_item_interval,
        "pending_setup_intent": subscription.pending_setup_intent,
        "pending_update": subscription.pending_update.as_ref().map(|update| pending_update(update, account)),
        "schedule": subscription.schedule,
        "start_date": subscription.start_date,
        "status": subscription.status.as_str(),
        "status_details": status_details,
        "test_clock": subscription.test_clock,
        "transfer_data": null,
        "trial_end": subscription.trial_end,
        "trial_settings": { "end_behavior": {
            "billing_cycle_anchor": null,
            "missing_payment_method": subscription.trial_end_behavior.as_str(),
        } },
        "trial_start": subscription.trial_start,
    })
}

/// Adds the members of one object to another: large shapes are written in two steps.
pub(crate) fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

fn pending_update(update: &PendingUpdate, account: &Account) -> Value {
    let wanted = &update.wanted;
    let items: Option<Vec<Value>> = update.changes_items.then(|| {
        wanted
            .items
            .iter()
            .map(|own| item(own, wanted, account))
            .collect()
    });
    json!({
        "billing_cycle_anchor": null,
        "cancel_at_period_end": null,
        "discounts": null,
        "expires_at": update.expires_at,
        "metadata": null,
        "subscription_items": items,
        "trial_end": update.trial_end,
        "trial_from_plan": null,
    })
}

/// An item of a subscription.
pub(crate) fn item(item: &Item, subscription: &Subscription, account: &Account) -> Value {
    let thresholds = item
        .billing_thresholds
        .map(|usage| json!({ "usage_gte": usage }));
    let mut object = json!({
        "id": item.id,
        "object": "subscription_item",
        "billed_until": null,
        "billing_thresholds": thresholds,
        "created": item.created,
        "current_period_end": item.period.end,
        "current_period_start": item.period.start,
        "current_trial": null,
        "discounts": item.discounts,
        "metadata": item.metadata,
        "plan": account.prices.get(&item.price).and_then(|price| price.render_plan(account)),
        "price": account.prices.get(&item.price).map(|price| price.render(account)),
        "subscription": subscription.id,
        "tax_rates": tax_rates(&item.tax_rates, account),
    });
    if let (Some(quantity), Value::Object(map)) = (item.quantity, &mut object) {
        map.insert("quantity".to_owned(), quantity.into());
    }
    object
}

fn tax_rates(ids: &[String], account: &Account) -> Vec<Value> {
    catalog::render_tax_rates(account, ids)
}

/// An invoice.
pub(crate) fn invoice(invoice: &Invoice, account: &Account) -> Value {
    let mut object = invoice_head(invoice, account);
    extend(&mut object, invoice_amounts(invoice));
    extend(&mut object, invoice_links(invoice, account));
    object
}

fn invoice_head(invoice: &Invoice, account: &Account) -> Value {
    let snapshot = &invoice.snapshot;
    let tax_status = invoice.automatic_tax.then_some("complete");
    let liability = invoice
        .automatic_tax
        .then(|| json!({ "account": null, "type": "self" }));
    json!({
        "id": invoice.id,
        "object": "invoice",
        "account_country": account.settings.country,
        "account_name": account.settings.business_name,
        "account_tax_ids": invoice.account_tax_ids,
        "application": null,
        "attempt_count": invoice.attempt_count,
        "attempted": invoice.attempted,
        "auto_advance": invoice.auto_advance,
        "automatic_tax": {
            "disabled_reason": null,
            "enabled": invoice.automatic_tax,
            "liability": liability,
            "provider": invoice.automatic_tax.then_some("stripe"),
            "status": tax_status,
        },
        "automatically_finalizes_at": invoice.automatically_finalizes_at,
        "billing_reason": invoice.billing_reason,
        "collection_method": invoice.collection_method.as_str(),
        "created": invoice.created,
        "currency": invoice.currency,
        "custom_fields": invoice.custom_fields,
        "customer": invoice.customer,
        "customer_account": null,
        "customer_address": snapshot.address,
        "customer_email": snapshot.email,
        "customer_name": snapshot.name,
        "customer_phone": snapshot.phone,
        "customer_shipping": snapshot.shipping,
        "customer_tax_exempt": snapshot.tax_exempt,
        "customer_tax_ids": snapshot.tax_ids,
        "default_payment_method": invoice.default_payment_method,
        "default_source": invoice.default_source,
        "default_tax_rates": tax_rates(&invoice.default_tax_rates, account),
        "description": invoice.description,
        "discounts": invoice.discounts,
        "due_date": invoice.due_date,
        "effective_at": invoice.effective_at,
    })
}

fn invoice_amounts(invoice: &Invoice) -> Value {
    let totals = invoice.totals;
    json!({
        "amount_due": invoice.amount_due,
        "amount_overpaid": invoice.amount_overpaid,
        "amount_paid": invoice.amount_paid,
        "amount_paid_off_stripe": invoice.amount_paid_off_stripe,
        "amount_remaining": invoice.amount_remaining(),
        "amount_shipping": 0,
        "ending_balance": invoice.ending_balance,
        "post_payment_credit_notes_amount": invoice.post_payment_credit_notes,
        "pre_payment_credit_notes_amount": invoice.pre_payment_credit_notes,
        "starting_balance": invoice.starting_balance,
        "subtotal": totals.subtotal,
        "subtotal_excluding_tax": totals.subtotal_excluding_tax,
        "total": totals.total,
        "total_discount_amounts": total_discounts(invoice),
        "total_excluding_tax": totals.total_excluding_tax,
        "total_pretax_credit_amounts": total_pretax_credits(invoice),
        "total_taxes": total_taxes(invoice),
    })
}

fn invoice_links(invoice: &Invoice, account: &Account) -> Value {
    let finalized = invoice.transitions.finalized_at.is_some();
    let page = |what: &str| {
        format!(
            "{}/{what}/{}/{}",
            account.base_url,
            account.id,
            invoice.token()
        )
    };
    let hosted = finalized.then(|| page("i"));
    let pdf = finalized.then(|| page("pdf"));
    let lines: Vec<Value> = invoice.lines.iter().map(|own| line(own, invoice)).collect();
    let has_more = lines.len() > 10;
    let count = lines.len();
    let shown: Vec<Value> = lines.into_iter().take(10).collect();
    let status_details = invoice
        .uncollectible_reason
        .map(|reason| json!({ "uncollectible": { "reason": reason } }));
    json!({
        "footer": invoice.footer,
        "from_invoice": invoice.revises.as_ref().map(|from| json!({ "action": "revision", "invoice": from })),
        "hosted_invoice_url": hosted,
        "invoice_pdf": pdf,
        "issuer": { "account": null, "type": "self" },
        "last_finalization_error": invoice.last_finalization_error,
        "latest_revision": invoice.latest_revision,
        "lines": {
            "object": "list",
            "data": shown,
            "has_more": has_more,
            "total_count": count,
            "url": format!("/v1/invoices/{}/lines", invoice.id),
        },
        "livemode": invoice.livemode,
        "metadata": invoice.metadata,
        "next_payment_attempt": invoice.next_payment_attempt,
        "number": invoice.number,
        "on_behalf_of": null,
        "parent": parent(invoice),
        "payment_settings": invoice.payment_settings,
        "period_end": invoice.period.end,
        "period_start": invoice.period.start,
        "receipt_number": invoice.receipt_number,
        "rendering": invoice.rendering,
        "shipping_cost": null,
        "shipping_details": invoice.shipping_details,
        "statement_descriptor": invoice.statement_descriptor,
        "status": invoice.status.as_str(),
        "status_details": status_details,
        "status_transitions": {
            "finalized_at": invoice.transitions.finalized_at,
            "marked_uncollectible_at": invoice.transitions.marked_uncollectible_at,
            "paid_at": invoice.transitions.paid_at,
            "voided_at": invoice.transitions.voided_at,
        },
        "test_clock": invoice.test_clock,
        "threshold_reason": null,
        "webhooks_delivered_at": if finalized { Some(invoice.created) } else { None },
    })
}

fn parent(invoice: &Invoice) -> Value {
    let Some(subscription) = &invoice.subscription else {
        return Value::Null;
    };
    let mut details =
        json!({ "metadata": invoice.subscription_metadata, "subscription": subscription });
    if let (Some(date), Value::Object(map)) = (invoice.proration_date, &mut details) {
        map.insert("subscription_proration_date".to_owned(), date.into());
    }
    json!({ "quote_details": null, "subscription_details": details, "type": "subscription_details" })
}

fn total_discounts(invoice: &Invoice) -> Vec<Value> {
    let mut sums: Vec<(&str, i64)> = Vec::new();
    for (discount, amount) in invoice.lines.iter().flat_map(|line| &line.discount_amounts) {
        match sums.iter_mut().find(|(id, _)| *id == discount.as_str()) {
            Some((_, sum)) => *sum = sum.saturating_add(*amount),
            None => sums.push((discount, *amount)),
        }
    }
    sums.into_iter()
        .map(|(id, amount)| json!({ "amount": amount, "discount": id }))
        .collect()
}

fn total_pretax_credits(invoice: &Invoice) -> Vec<Value> {
    let mut sums: Vec<(&str, i64)> = Vec::new();
    for (transaction, amount) in invoice.lines.iter().flat_map(|line| &line.credit_amounts) {
        match sums.iter_mut().find(|(id, _)| *id == transaction.as_str()) {
            Some((_, sum)) => *sum = sum.saturating_add(*amount),
            None => sums.push((transaction, *amount)),
        }
    }
    let discounts = total_discounts(invoice).into_iter().map(|mut discount| {
        extend(&mut discount, json!({ "type": "discount" }));
        discount
    });
    let credits = sums.into_iter().map(|(id, amount)| {
        json!({ "amount": amount, "credit_balance_transaction": id, "type": "credit_balance_transaction" })
    });
    credits.chain(discounts).collect()
}

fn total_taxes(invoice: &Invoice) -> Vec<Value> {
    let mut sums: Vec<LineTax> = Vec::new();
    for tax in invoice.lines.iter().flat_map(|line| &line.taxes) {
        match sums.iter_mut().find(|sum| sum.rate == tax.rate) {
            Some(sum) => {
                sum.amount = sum.amount.saturating_add(tax.amount);
                sum.taxable = sum.taxable.saturating_add(tax.taxable);
            }
            None => sums.push(tax.clone()),
        }
    }
    sums.iter().map(line_tax).collect()
}

pub(crate) fn line_tax(tax: &LineTax) -> Value {
    json!({
        "amount": tax.amount,
        "tax_behavior": if tax.inclusive { "inclusive" } else { "exclusive" },
        "tax_rate_details": { "tax_rate": tax.rate },
        "taxability_reason": tax.reason,
        "taxable_amount": tax.taxable,
        "type": "tax_rate_details",
    })
}

fn pricing(price: Option<&LinePrice>) -> Value {
    price.map_or(Value::Null, |price| {
        json!({
            "price_details": { "price": price.price, "product": price.product },
            "type": "price_details",
            "unit_amount_decimal": price.unit_amount_decimal,
        })
    })
}

/// A line of an invoice.
pub(crate) fn line(line: &Line, invoice: &Invoice) -> Value {
    let credited = line.credited.as_ref().map(
        |credited| json!({ "invoice": credited.invoice, "invoice_line_items": credited.lines }),
    );
    let details = json!({ "credited_items": credited });
    let parent = match (&line.subscription_item, &line.invoice_item) {
        (Some(item), invoice_item) => json!({
            "invoice_item_details": null,
            "subscription_item_details": {
                "invoice_item": invoice_item,
                "proration": line.proration,
                "proration_details": details,
                "subscription": line.subscription,
                "subscription_item": item,
            },
            "type": "subscription_item_details",
        }),
        (None, invoice_item) => json!({
            "invoice_item_details": {
                "invoice_item": invoice_item.as_deref().unwrap_or_default(),
                "proration": line.proration,
                "proration_details": details,
                "subscription": line.subscription,
            },
            "subscription_item_details": null,
            "type": "invoice_item_details",
        }),
    };
    let amounts = |list: &[(String, i64)]| -> Vec<Value> {
        list.iter()
            .map(|(id, amount)| json!({ "amount": amount, "discount": id }))
            .collect()
    };
    let mut pretax: Vec<Value> = line
        .credit_amounts
        .iter()
        .map(|(id, amount)| {
            json!({ "amount": amount, "credit_balance_transaction": id, "type": "credit_balance_transaction" })
        })
        .collect();
    pretax.extend(
        line.discount_amounts
            .iter()
            .map(|(id, amount)| json!({ "amount": amount, "discount": id, "type": "discount" })),
    );
    json!({
        "id": line.id,
        "object": "line_item",
        "amount": line.amount,
        "currency": invoice.currency,
        "description": line.description,
        "discount_amounts": amounts(&line.discount_amounts),
        "discountable": line.discountable,
        "discounts": line.discounts,
        "invoice": invoice.id,
        "livemode": invoice.livemode,
        "metadata": line.metadata,
        "parent": parent,
        "period": { "end": line.period.end, "start": line.period.start },
        "pretax_credit_amounts": pretax,
        "pricing": pricing(line.price.as_ref()),
        "quantity": line.quantity,
        "quantity_decimal": line.quantity.map(|quantity| quantity.to_string()),
        "subscription": line.subscription,
        "subtotal": line.amount,
        "taxes": line.taxes.iter().map(line_tax).collect::<Vec<_>>(),
    })
}

/// An invoice item.
pub(crate) fn invoice_item(item: &InvoiceItem, account: &Account) -> Value {
    let parent = item.subscription.as_ref().map(|subscription| {
        json!({
            "subscription_details": {
                "subscription": subscription,
                "subscription_item": item.subscription_item,
            },
            "type": "subscription_details",
        })
    });
    let credited = item.credited.as_ref().map(|credited| {
        json!({
            "invoice_item": null,
            "invoice_line_item_details": { "invoice": credited.invoice, "invoice_line_items": credited.lines },
            "type": "invoice_line_items",
        })
    });
    let proration_details = item
        .proration
        .then(|| json!({ "credited_items": credited, "discount_amounts": [] }));
    json!({
        "id": item.id,
        "object": "invoiceitem",
        "amount": item.amount,
        "currency": item.currency,
        "customer": item.customer,
        "customer_account": null,
        "date": item.date,
        "description": item.description,
        "discountable": item.discountable,
        "discounts": item.discounts,
        "invoice": item.invoice,
        "livemode": item.livemode,
        "metadata": item.metadata,
        "net_amount": item.amount,
        "parent": parent,
        "period": { "end": item.period.end, "start": item.period.start },
        "pricing": pricing(item.price.as_ref()),
        "proration": item.proration,
        "proration_details": proration_details,
        "quantity": item.quantity,
        "quantity_decimal": item.quantity.to_string(),
        "tax_rates": tax_rates(&item.tax_rates, account),
        "test_clock": item.test_clock,
    })
}

/// A payment towards an invoice.
pub(crate) fn invoice_payment(payment: &InvoicePayment) -> Value {
    let target = match &payment.payment_intent {
        Some(intent) => json!({ "payment_intent": intent, "type": "payment_intent" }),
        None => json!({ "type": "payment_record" }),
    };
    json!({
        "id": payment.id,
        "object": "invoice_payment",
        "amount_paid": payment.amount_paid,
        "amount_requested": payment.amount_requested,
        "created": payment.created,
        "currency": payment.currency,
        "invoice": payment.invoice,
        "is_default": true,
        "livemode": payment.livemode,
        "payment": target,
        "status": payment.status,
        "status_transitions": { "canceled_at": payment.canceled_at, "paid_at": payment.paid_at },
    })
}
