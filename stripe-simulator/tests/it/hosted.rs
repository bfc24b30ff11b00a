//! Invoices on their hosted page and as PDF; payment links; sources.

use serde_json::{Value, json};

use crate::checkout::{browse, text};
use crate::support::Stripe;

/// An open invoice over $20.00 that nothing pays by itself.
fn open_invoice(stripe: &Stripe) -> Value {
    let form = [("name", "Jenny (Rosen)"), ("email", "jenny@example.com")];
    let customer = stripe.post("/v1/customers", &form).id();
    let form = [
        ("customer", customer.as_str()),
        ("amount", "2000"),
        ("currency", "eur"),
        ("description", "One <thing>"),
    ];
    stripe.post("/v1/invoiceitems", &form).ok();
    let form = [
        ("customer", customer.as_str()),
        ("currency", "eur"),
        ("collection_method", "send_invoice"),
        ("days_until_due", "30"),
        ("pending_invoice_items_behavior", "include"),
    ];
    let draft = stripe.post("/v1/invoices", &form).id();
    stripe
        .post(&format!("/v1/invoices/{draft}/finalize"), &[])
        .ok()
}

#[test]
fn an_invoice_is_paid_on_its_page() {
    let stripe = Stripe::start();
    let invoice = open_invoice(&stripe);
    let url = text(&invoice, "hosted_invoice_url").to_owned();
    let page = browse(&stripe, "GET", &url, &[]);
    assert!(page.text.contains("One &lt;thing&gt;"), "{}", page.text);
    assert!(page.text.contains("€20.00"));
    let pay = |method: &str| browse(&stripe, "POST", &url, &[("payment_method", method)]);
    let declined = pay("pm_card_chargeDeclined");
    assert!(
        declined.text.contains("Your card was declined."),
        "{}",
        declined.text
    );
    let bank = pay("pm_card_authenticationRequired");
    let bank = bank.header("location").unwrap().to_owned();
    let returned = browse(&stripe, "POST", &bank, &[("answer", "approve")]);
    let page = browse(&stripe, "GET", returned.header("location").unwrap(), &[]);
    assert!(page.text.contains(": paid"), "{}", page.text);
    assert!(!page.text.contains("<button>Pay"));
    let path = format!("/v1/invoices/{}", text(&invoice, "id"));
    assert_eq!(stripe.get(&path).ok()["status"], "paid");
    // A second submission pays nothing.
    assert_eq!(pay("pm_card_visa").status, 303);
    let charges = stripe
        .get(&format!(
            "/v1/charges?customer={}",
            text(&invoice, "customer")
        ))
        .ok();
    let paid = charges["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|charge| charge["paid"] == true);
    assert_eq!(paid.count(), 1);
    assert_eq!(browse(&stripe, "GET", "/i/acct_none/x", &[]).status, 404);
}

#[test]
fn an_invoice_is_a_pdf() {
    let stripe = Stripe::start();
    let invoice = open_invoice(&stripe);
    let pdf = browse(&stripe, "GET", text(&invoice, "invoice_pdf"), &[]);
    assert_eq!(pdf.header("content-type").unwrap(), "application/pdf");
    assert!(pdf.text.starts_with("%PDF-1.4"), "{}", pdf.text);
    assert!(
        pdf.text
            .contains(&format!("(Invoice {})", text(&invoice, "number")))
    );
    assert!(
        pdf.text
            .contains("(To: Jenny \\(Rosen\\), jenny@example.com)")
    );
    assert!(pdf.text.contains("(One <thing>)"));
    assert!(pdf.text.contains("20.00)"));
}

#[test]
fn a_payment_link_opens_a_session_for_each_visitor() {
    let stripe = Stripe::start();
    let form = [
        ("currency", "usd"),
        ("unit_amount", "1500"),
        ("recurring[interval]", "month"),
        ("product_data[name]", "Gold"),
    ];
    let price = stripe.post("/v1/prices", &form).id();
    let form = [
        ("line_items[0][price]", price.as_str()),
        ("line_items[0][quantity]", "1"),
    ];
    let link = stripe.post("/v1/payment_links", &form).ok();
    assert_eq!(link["active"], true);
    let lines = stripe
        .get(&format!(
            "/v1/payment_links/{}/line_items",
            text(&link, "id")
        ))
        .ok();
    assert_eq!(lines["data"][0]["amount_total"], 1500);
    let url = text(&link, "url");
    let first = browse(&stripe, "GET", url, &[])
        .header("location")
        .unwrap()
        .to_owned();
    let second = browse(&stripe, "GET", url, &[])
        .header("location")
        .unwrap()
        .to_owned();
    assert_ne!(first, second);
    assert_eq!(
        browse(
            &stripe,
            "POST",
            &first,
            &[("payment_method", "pm_card_visa")]
        )
        .status,
        303
    );
    let path = format!("/v1/checkout/sessions?payment_link={}", text(&link, "id"));
    let sessions = stripe.get(&path).ok();
    assert_eq!(sessions["data"][0]["status"], "open");
    assert_eq!(sessions["data"][1]["status"], "complete");
    let path = format!("/v1/payment_links/{}", text(&link, "id"));
    assert_eq!(
        stripe.post(&path, &[("active", "false")]).ok()["active"],
        false
    );
    assert_eq!(browse(&stripe, "GET", url, &[]).status, 410);
}

#[test]
fn sources_live_on_their_customer() {
    let stripe = Stripe::start();
    let customer = stripe.post("/v1/customers", &[]).id();
    let path = format!("/v1/customers/{customer}/sources");
    let declined = stripe
        .post(&path, &[("source", "tok_chargeDeclined")])
        .error(402);
    assert_eq!(declined["code"], "card_declined");
    assert_eq!(
        stripe.post(&path, &[("source", "tok_nonsense")]).error(400)["param"],
        "source"
    );
    let card = stripe.post(&path, &[("source", "tok_visa")]).ok();
    assert_eq!(card["brand"], "Visa");
    let own = format!("{path}/{}", text(&card, "id"));
    let changed = stripe.post(&own, &[("metadata[foo]", "bar")]).ok();
    assert_eq!(changed["metadata"]["foo"], "bar");
    assert_eq!(stripe.get(&path).ok()["data"][0]["id"], card["id"]);
    assert_eq!(stripe.delete(&own).ok()["deleted"], true);
    assert_eq!(stripe.get(&path).ok()["data"], json!([]));
    stripe.get(&own).error(404);
}

#[test]
fn taxes_are_calculated_by_place() {
    let stripe = Stripe::start();
    let calculate = |country: &str, behavior: &str, more: &[(&str, &str)]| {
        let mut form = vec![
            ("currency", "eur"),
            ("line_items[0][amount]", "1190"),
            ("line_items[0][tax_behavior]", behavior),
            ("customer_details[address][country]", country),
            ("customer_details[address_source]", "billing"),
        ];
        form.extend(more);
        stripe.post("/v1/tax/calculations", &form)
    };
    let german = calculate("DE", "inclusive", &[]).ok();
    assert_eq!(german["tax_amount_inclusive"], 190);
    assert_eq!(german["amount_total"], 1190);
    let french = calculate("FR", "exclusive", &[]).ok();
    assert_eq!(french["tax_amount_exclusive"], 238);
    assert_eq!(french["amount_total"], 1428);
    let path = format!("/v1/tax/calculations/{}/line_items", text(&french, "id"));
    assert_eq!(stripe.get(&path).ok()["data"][0]["amount_tax"], 238);
    let nowhere = calculate("SG", "exclusive", &[]).ok();
    assert_eq!(
        nowhere["tax_breakdown"][0]["taxability_reason"],
        "not_collecting"
    );
    let reverse = [("customer_details[taxability_override]", "reverse_charge")];
    assert_eq!(
        calculate("DE", "exclusive", &reverse).ok()["tax_amount_exclusive"],
        0
    );
}
