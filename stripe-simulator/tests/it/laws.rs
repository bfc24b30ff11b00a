//! Laws of billing that hold whatever happens: random lives of a customer, checked after each step.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use crate::billing::{DAY, Shop, text};

/// One thing that happens to a customer.
#[derive(Clone, Debug)]
enum Step {
    Subscribe {
        price: usize,
        quantity: i64,
        behavior: usize,
    },
    Change {
        price: usize,
        quantity: i64,
        proration: usize,
    },
    Advance {
        seconds: i64,
    },
    Method {
        good: bool,
    },
    Pay,
    Void,
    WriteOff,
    CancelNow {
        prorate: bool,
    },
    CancelAtEnd {
        undo: bool,
    },
    Pause {
        on: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0_usize..3, 1_i64..9, 0_usize..3)
            .prop_map(|(price, quantity, behavior)| Step::Subscribe { price, quantity, behavior }),
        3 => (0_usize..3, 1_i64..9, 0_usize..3)
            .prop_map(|(price, quantity, proration)| Step::Change { price, quantity, proration }),
        4 => (1_i64..40 * DAY).prop_map(|seconds| Step::Advance { seconds }),
        2 => any::<bool>().prop_map(|good| Step::Method { good }),
        1 => Just(Step::Pay),
        1 => Just(Step::Void),
        1 => Just(Step::WriteOff),
        1 => any::<bool>().prop_map(|prorate| Step::CancelNow { prorate }),
        1 => any::<bool>().prop_map(|undo| Step::CancelAtEnd { undo }),
        1 => any::<bool>().prop_map(|on| Step::Pause { on }),
    ]
}

/// A life in progress.
struct Life {
    shop: Shop,
    prices: Vec<String>,
    elapsed: i64,
    seen_invoices: BTreeMap<String, String>,
    seen_subscriptions: BTreeMap<String, String>,
}

impl Life {
    fn begin() -> Self {
        let shop = Shop::open("pm_card_visa");
        let yearly = [("recurring[interval]", "year")];
        let prices = vec![
            shop.price(1999),
            shop.price(5000),
            shop.price_with(30_000, &yearly),
        ];
        Self {
            shop,
            prices,
            elapsed: 0,
            seen_invoices: BTreeMap::new(),
            seen_subscriptions: BTreeMap::new(),
        }
    }

    fn subscriptions(&self) -> Vec<Value> {
        let path = format!(
            "/v1/subscriptions?limit=100&status=all&customer={}",
            self.shop.customer
        );
        self.shop.stripe.get(&path).ok()["data"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// The newest subscription that has not ended.
    fn live(&self) -> Option<Value> {
        let ended = |own: &Value| own["ended_at"].is_null();
        self.subscriptions().into_iter().find(ended)
    }

    fn on_live(&self, form: &[(&str, &str)]) {
        if let Some(own) = self.live() {
            let path = format!("/v1/subscriptions/{}", text(&own["id"]));
            let reply = self.shop.stripe.post(&path, form);
            assert!(matches!(reply.status, 200 | 400 | 402), "{}", reply.text);
        }
    }

    fn on_latest_invoice(&self, action: &str) {
        let invoice = self.shop.invoices().into_iter().next();
        if let Some(id) = invoice.map(|own| text(&own["id"])) {
            let path = format!("/v1/invoices/{id}/{action}");
            let reply = self.shop.stripe.post(&path, &[]);
            assert!(matches!(reply.status, 200 | 400 | 402), "{}", reply.text);
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Subscribe {
                price,
                quantity,
                behavior,
            } => {
                let behaviors = [
                    "allow_incomplete",
                    "default_incomplete",
                    "error_if_incomplete",
                ];
                let quantity = quantity.to_string();
                let form = [
                    ("items[0][quantity]", quantity.as_str()),
                    ("payment_behavior", behaviors[*behavior]),
                ];
                let reply = self.shop.try_subscribe(&self.prices[*price], &form);
                assert!(matches!(reply.status, 200 | 402), "{}", reply.text);
            }
            Step::Change {
                price,
                quantity,
                proration,
            } => {
                let prorations = ["always_invoice", "create_prorations", "none"];
                let Some(own) = self.live() else { return };
                let item = text(&own["items"]["data"][0]["id"]);
                let quantity = quantity.to_string();
                self.on_live(&[
                    ("items[0][id]", &item),
                    ("items[0][price]", &self.prices[*price]),
                    ("items[0][quantity]", &quantity),
                    ("proration_behavior", prorations[*proration]),
                ]);
            }
            Step::Advance { seconds } => {
                self.elapsed += seconds;
                self.shop.advance_to(self.elapsed);
            }
            Step::Method { good } => {
                self.shop.give_method(if *good {
                    "pm_card_visa"
                } else {
                    "pm_card_chargeCustomerFail"
                });
            }
            Step::Pay => self.on_latest_invoice("pay"),
            Step::Void => self.on_latest_invoice("void"),
            Step::WriteOff => self.on_latest_invoice("mark_uncollectible"),
            Step::CancelNow { prorate } => {
                if let Some(own) = self.live() {
                    let path = format!(
                        "/v1/subscriptions/{}?prorate={prorate}&invoice_now={prorate}",
                        text(&own["id"])
                    );
                    self.shop.stripe.delete(&path).ok();
                }
            }
            Step::CancelAtEnd { undo } => {
                self.on_live(&[("cancel_at_period_end", if *undo { "false" } else { "true" })]);
            }
            Step::Pause { on: true } => {
                self.on_live(&[("pause_collection[behavior]", "keep_as_draft")]);
            }
            Step::Pause { on: false } => self.on_live(&[("pause_collection", "")]),
        }
    }

    fn check(&mut self) {
        let mut paid = 0;
        for invoice in self.shop.invoices() {
            check_sums(&invoice);
            let (id, now) = (text(&invoice["id"]), text(&invoice["status"]));
            let before = self.seen_invoices.insert(id, now.clone());
            let before = before.unwrap_or_else(|| "draft".to_owned());
            let legal = match before.as_str() {
                "draft" => true,
                "open" => now != "draft",
                "uncollectible" => matches!(now.as_str(), "uncollectible" | "paid" | "void"),
                ended => now == ended,
            };
            assert!(legal, "an invoice went from {before} to {now}");
            if now == "paid" {
                assert_eq!(invoice["amount_remaining"], 0);
                paid += invoice["amount_paid"].as_i64().unwrap();
            }
        }
        let charges = format!("/v1/charges?limit=100&customer={}", self.shop.customer);
        let charges = self.shop.stripe.get(&charges).ok();
        let taken = charges["data"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|own| own["status"] == "succeeded");
        let taken: i64 = taken.map(|own| own["amount"].as_i64().unwrap()).sum();
        assert_eq!(
            paid, taken,
            "what invoices say was paid is what was charged"
        );
        for own in self.subscriptions() {
            let (id, now) = (text(&own["id"]), text(&own["status"]));
            let before = self.seen_subscriptions.insert(id, now.clone());
            if let Some(ended) =
                before.filter(|old| matches!(old.as_str(), "canceled" | "incomplete_expired"))
            {
                assert_eq!(now, ended, "an ended subscription came back");
            }
            let period = &own["items"]["data"][0];
            let (start, end) = (
                period["current_period_start"].as_i64(),
                period["current_period_end"].as_i64(),
            );
            assert!(start < end, "{period}");
        }
    }
}

fn check_sums(invoice: &Value) {
    let number = |value: &Value| value.as_i64().unwrap();
    let amounts = |list: &Value| {
        list.as_array()
            .unwrap()
            .iter()
            .map(|own| number(&own["amount"]))
            .sum::<i64>()
    };
    let lines = invoice["lines"]["data"].as_array().unwrap();
    if invoice["lines"]["has_more"] == false {
        let sum: i64 = lines.iter().map(|line| number(&line["amount"])).sum();
        assert_eq!(number(&invoice["subtotal"]), sum, "{invoice}");
    }
    let off = amounts(&invoice["total_discount_amounts"]);
    let tax = amounts(&invoice["total_taxes"]);
    assert_eq!(
        number(&invoice["total"]),
        number(&invoice["subtotal"]) - off + tax
    );
    if invoice["status"] != "draft" {
        let applied = number(&invoice["starting_balance"]) - number(&invoice["ending_balance"]);
        assert_eq!(
            number(&invoice["amount_due"]),
            number(&invoice["total"]) + applied
        );
    }
}

/// Plays a life and gives its history, the port taken out of its addresses.
fn play(steps: &[Step]) -> String {
    let mut life = Life::begin();
    for step in steps {
        life.take(step);
        life.check();
    }
    let list = life.shop.stripe.get("/v1/events?limit=100").ok();
    let base = life.shop.stripe.simulator.base_url();
    list.to_string().replace(base, "")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_customers_life_keeps_the_laws_and_repeats(steps in proptest::collection::vec(step(), 1..14)) {
        let first = play(&steps);
        prop_assert!(first == play(&steps), "the same seed and requests gave another history");
    }

    #[test]
    fn an_advance_of_32_days_renews_a_monthly_subscription_once(
        offset in 0_i64..366 * DAY, quantity in 1_i64..50,
    ) {
        let shop = Shop::open("pm_card_visa");
        shop.advance_to(offset);
        let quantity = quantity.to_string();
        let subscription = shop.subscribe(&shop.price(1000), &[("items[0][quantity]", &quantity)]);
        shop.advance_to(offset + 32 * DAY);
        prop_assert_eq!(shop.invoices().len(), 2);
        prop_assert_eq!(&shop.subscription(&subscription["id"])["status"], "active");
        prop_assert!(shop.invoices().iter().all(|own| own["status"] == "paid"));
    }

    #[test]
    fn an_incomplete_subscription_expires_at_23_hours(before in 1_i64..23 * 3600, after in 0_i64..10 * DAY) {
        let shop = Shop::open("pm_card_chargeCustomerFail");
        let subscription = shop.subscribe(&shop.price(1000), &[]);
        shop.advance_to(23 * 3600 - before);
        prop_assert_eq!(&shop.subscription(&subscription["id"])["status"], "incomplete");
        shop.advance_to(23 * 3600 + after);
        prop_assert_eq!(&shop.subscription(&subscription["id"])["status"], "incomplete_expired");
        prop_assert_eq!(&shop.invoices()[0]["status"], "void");
    }
}
