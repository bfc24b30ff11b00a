//! Invoices, refunds and credit notes at the simulator.

use portal_billing::stripe::invoices::{self, BillingReason, InvoiceFilter, InvoicePaying};
use portal_billing::stripe::refunds::{
    self, CreditNoteFilter, CreditNoteReason, NewCreditNote, NewRefund, RefundFilter, RefundReason,
    Refunded,
};
use portal_billing::stripe::subscriptions::{self, NewItem, NewSubscription, PaymentBehavior};
use portal_billing::stripe::{
    Created, CreditNote, Invoice, InvoiceLine, InvoicePayment, InvoiceStatus, List, Metadata,
    Outcome, Page, PaymentMethod, Refund, Subscription, SubscriptionStatus, payment_methods,
};

use super::sender::Sender;

async fn subscribed(stripe: &mut Sender, customer: &str, price: &str) -> Subscription {
    let new = NewSubscription {
        customer,
        items: &[NewItem {
            price,
            quantity: Some(1),
        }],
        payment_behavior: Some(PaymentBehavior::AllowIncomplete),
        ..NewSubscription::default()
    };
    stripe.send(subscriptions::create(&new)).await
}

/// The ids of a customer and of its first invoice of 20 euros, paid.
async fn paid(stripe: &mut Sender) -> (String, String) {
    let (customer, _) = stripe.customer_with("pm_card_visa").await;
    let price = stripe.monthly("pb_gold", 2_000).await;
    let made = subscribed(stripe, &customer, &price).await;
    let invoice = made.latest_invoice.as_ref().unwrap().id().to_owned();
    (customer, invoice)
}

#[tokio::test]
async fn a_paid_invoice_is_read_with_its_lines_and_payments() {
    let mut stripe = Sender::start();
    let (customer, _) = stripe.customer_with("pm_card_visa").await;
    let price = stripe.monthly("pb_gold", 2_000).await;
    let made = subscribed(&mut stripe, &customer, &price).await;
    let filter = InvoiceFilter {
        customer: Some(&customer),
        subscription: Some(&made.id),
        status: Some(InvoiceStatus::Paid),
        created: Created::since(made.created.unwrap()),
        page: Page::largest(None),
    };
    let listed: List<Invoice> = stripe.send(invoices::list(&filter)).await;
    assert_eq!(listed.data.len(), 1);
    let id = listed.data[0].id.clone();
    let expand = [
        invoices::EXPAND_PAYMENTS,
        invoices::EXPAND_CONFIRMATION_SECRET,
    ];
    let invoice: Invoice = stripe.send(invoices::retrieve(&id, &expand).unwrap()).await;
    assert_eq!(
        invoice.billing_reason,
        Some(BillingReason::SubscriptionCreate)
    );
    assert!(invoice.number.is_some() && invoice.hosted_invoice_url.is_some());
    assert!(invoice.invoice_pdf.is_some());
    assert!(invoice.status_transitions.paid_at.is_some());
    assert_eq!(invoice.amount_remaining, Some(0));
    assert_eq!(invoice.subtotal, Some(2_000));
    let lines: List<InvoiceLine> = stripe
        .send(invoices::lines(&id, Page::largest(None)).unwrap())
        .await;
    assert_eq!(lines.data, invoice.lines.data);
    assert_eq!(lines.data[0].price(), Some(price.as_str()));
    assert!(!lines.data[0].is_proration());
    let payments: List<InvoicePayment> = stripe
        .send(invoices::payments(&id, Page::largest(None)))
        .await;
    assert_eq!(payments.data, invoice.payments.unwrap().data);
    let payment = &payments.data[0];
    assert_eq!(
        (payment.amount_paid, payment.is_default),
        (Some(2_000), true)
    );
    assert!(payment.payment.as_ref().unwrap().payment_intent.is_some());
    stripe.finish();
}

#[tokio::test]
async fn a_payment_is_refunded_in_part() {
    let mut stripe = Sender::start();
    let (_, id) = paid(&mut stripe).await;
    let payments: List<InvoicePayment> = stripe
        .send(invoices::payments(&id, Page::largest(None)))
        .await;
    let payment = payments.data[0].payment.as_ref().unwrap();
    let intent = payment.payment_intent.as_ref().unwrap().id().to_owned();
    let new = NewRefund {
        of: Refunded::PaymentIntent(&intent),
        amount: Some(500),
        reason: Some(RefundReason::RequestedByCustomer),
        metadata: Metadata::from([("operation".to_owned(), "oper_1".to_owned())]),
    };
    let refund: Refund = stripe.send(refunds::create_refund(&new)).await;
    assert_eq!(
        (refund.amount, refund.currency.as_deref()),
        (Some(500), Some("eur"))
    );
    assert_eq!(refund.payment_intent.as_ref().unwrap().id(), intent);
    let read: Refund = stripe
        .send(refunds::retrieve_refund(&refund.id).unwrap())
        .await;
    assert_eq!(read, refund);
    let filter = RefundFilter {
        payment_intent: Some(&intent),
        ..RefundFilter::default()
    };
    let listed: List<Refund> = stripe.send(refunds::list_refunds(&filter)).await;
    assert_eq!(listed.data, [refund]);
    let too_much = NewRefund {
        amount: Some(5_000),
        ..new
    };
    let error = stripe.refused(refunds::create_refund(&too_much)).await;
    assert_eq!(error.outcome(), Outcome::Rejected);
    stripe.finish();
}

#[tokio::test]
async fn a_paid_invoice_is_credited_to_card_and_balance() {
    let mut stripe = Sender::start();
    let (customer, id) = paid(&mut stripe).await;
    let new = NewCreditNote {
        invoice: &id,
        amount: Some(1_000),
        refund_amount: Some(600),
        credit_amount: Some(400),
        reason: Some(CreditNoteReason::ProductUnsatisfactory),
        memo: Some("sorry"),
        ..NewCreditNote::default()
    };
    let note: CreditNote = stripe.send(refunds::create_credit_note(&new)).await;
    assert_eq!(
        (note.total, note.memo.as_deref()),
        (Some(1_000), Some("sorry"))
    );
    assert_eq!(note.invoice.as_ref().unwrap().id(), id);
    assert_eq!(note.refunds[0].amount_refunded, Some(600));
    let filter = CreditNoteFilter {
        customer: Some(&customer),
        invoice: Some(&id),
        ..CreditNoteFilter::default()
    };
    let listed: List<CreditNote> = stripe.send(refunds::list_credit_notes(&filter)).await;
    assert_eq!(listed.data, [note]);
    stripe.finish();
}

#[tokio::test]
async fn an_open_invoice_is_paid_with_another_card() {
    let mut stripe = Sender::start();
    let (customer, _) = stripe.customer_with("pm_card_chargeCustomerFail").await;
    let price = stripe.monthly("pb_gold", 2_000).await;
    let made = subscribed(&mut stripe, &customer, &price).await;
    assert_eq!(made.status, Some(SubscriptionStatus::Incomplete));
    let id = made.latest_invoice.as_ref().unwrap().id().to_owned();
    let error = stripe
        .refused(invoices::pay(&id, &InvoicePaying::default()).unwrap())
        .await;
    assert_eq!(error.outcome(), Outcome::Declined);
    let open: Invoice = stripe.send(invoices::retrieve(&id, &[]).unwrap()).await;
    assert_eq!(open.status, Some(InvoiceStatus::Open));
    assert!(open.attempted);
    let good: PaymentMethod = stripe
        .send(payment_methods::attach("pm_card_visa", &customer).unwrap())
        .await;
    let how = InvoicePaying {
        payment_method: Some(&good.id),
        off_session: Some(false),
        expand: &[invoices::EXPAND_PAYMENTS],
    };
    let paid: Invoice = stripe.send(invoices::pay(&id, &how).unwrap()).await;
    assert_eq!(paid.status, Some(InvoiceStatus::Paid));
    assert!(paid.payments.is_some());
    let active: Subscription = stripe
        .send(subscriptions::retrieve(&made.id, &[]).unwrap())
        .await;
    assert_eq!(active.status, Some(SubscriptionStatus::Active));
    stripe.finish();
}

#[tokio::test]
async fn an_open_invoice_is_given_up_or_void() {
    let mut stripe = Sender::start();
    let (customer, _) = stripe.customer_with("pm_card_chargeCustomerFail").await;
    let price = stripe.monthly("pb_gold", 2_000).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let made = subscribed(&mut stripe, &customer, &price).await;
        ids.push(made.latest_invoice.as_ref().unwrap().id().to_owned());
    }
    let given_up: Invoice = stripe
        .send(invoices::mark_uncollectible(&ids[0]).unwrap())
        .await;
    assert_eq!(given_up.status, Some(InvoiceStatus::Uncollectible));
    assert!(
        given_up
            .status_transitions
            .marked_uncollectible_at
            .is_some()
    );
    let void: Invoice = stripe.send(invoices::void(&ids[1]).unwrap()).await;
    assert_eq!(void.status, Some(InvoiceStatus::Void));
    assert!(void.status_transitions.voided_at.is_some());
    let error = stripe.refused(invoices::void(&ids[1]).unwrap()).await;
    assert_eq!(error.outcome(), Outcome::Rejected);
    stripe.finish();
}
