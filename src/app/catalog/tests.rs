use proptest::prelude::*;
use serde_json::json;

use super::requests::{is_our_price, lookup_key, product_id};
use super::tasks::{Task, name_at_stripe, tasks};
use crate::clock::Timestamp;
use crate::domain::catalog::{
    KnownPlan, OpenPrice, Plan, PriceAtStripe, Product, ProductAtStripe, ProductState, StoredPlan,
};
use crate::domain::currency::Currency;
use crate::domain::money::{Money, UnitAmount};
use crate::domain::pricing::{Interval, IntervalUnit, Pricing, TaxBehavior, Terms, UnitPrice};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::domain::stripe_link::StripeLink;
use crate::stripe::Price;

const ACCOUNT: &str = "acct_1";
const PLACE: Option<(&str, Mode)> = Some((ACCOUNT, Mode::Test));

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

fn terms() -> Terms {
    Terms {
        interval: Interval {
            unit: IntervalUnit::Month,
            count: 1,
        },
        trial: None,
        setup_fee: None,
        tax_behavior: TaxBehavior::Unspecified,
    }
}

fn flat(amount: i64) -> Pricing {
    Pricing::Flat {
        price: Money::new(amount, Currency::parse("usd").unwrap()),
        terms: terms(),
    }
}

fn link(account: &str, id: String) -> StripeLink {
    StripeLink {
        account: account.to_owned(),
        mode: Mode::Test,
        id,
    }
}

/// What is known of one plan: its product and price may be missing, elsewhere, archived or here.
#[derive(Clone, Copy, Debug)]
struct Known {
    paid: bool,
    withdrawn: bool,
    renamed: bool,
    product: u8,
    price: u8,
    /// Prices of earlier revisions that are still in use.
    open: i64,
}

fn known() -> impl Strategy<Value = Known> {
    let parts = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        0_u8..4,
        0_u8..4,
        0_i64..3,
    );
    parts.prop_map(|(paid, withdrawn, renamed, product, price, open)| Known {
        paid,
        withdrawn,
        renamed,
        product,
        price,
        open,
    })
}

/// A product, and its Prices here that are in use.
struct World {
    product: Product,
    open: Vec<OpenPrice>,
}

fn world(state: ProductState, plans: &[Known]) -> World {
    let mut open = Vec::new();
    let plans = plans.iter().enumerate().map(|(place, known)| {
        let id = slug(&format!("plan-{place}"));
        let revision = known.open + 1;
        open.extend((1..revision).map(|earlier| OpenPrice {
            plan: id.clone(),
            revision: earlier,
            price: format!("price_{place}_{earlier}"),
        }));
        let at = |which: u8| match which {
            1 => Some(("acct_elsewhere", false)),
            2 => Some((ACCOUNT, true)),
            3 => Some((ACCOUNT, false)),
            _ => None,
        };
        let price = known.paid.then(|| at(known.price)).flatten();
        if price == Some((ACCOUNT, false)) {
            open.push(OpenPrice {
                plan: id.clone(),
                revision,
                price: format!("price_{place}_{revision}"),
            });
        }
        StoredPlan {
            known: KnownPlan {
                plan: Plan {
                    id,
                    title: format!("Plan {place}"),
                    description: String::new(),
                    approval_required: false,
                    pricing: if known.paid { flat(5) } else { Pricing::Free },
                    revision,
                },
                withdrawn: known.withdrawn,
            },
            product: at(known.product).map(|(account, archived)| ProductAtStripe {
                link: link(account, format!("pb_{place}")),
                name: if known.renamed {
                    "Before".to_owned()
                } else {
                    format!("Weather: Plan {place}")
                },
                archived,
            }),
            price: price.map(|(account, archived)| PriceAtStripe {
                link: link(account, format!("price_{place}_{revision}")),
                archived,
            }),
        }
    });
    let product = Product {
        id: slug("weather"),
        title: "Weather".to_owned(),
        version: "1".to_owned(),
        description: String::new(),
        state,
        nonce: "nonce".to_owned(),
        plans: plans.collect(),
        changes: 1,
        created_at: Timestamp::from_millis(0),
        updated_at: Timestamp::from_millis(0),
    };
    World { product, open }
}

impl World {
    fn todo(&self, going: bool) -> Vec<Task> {
        tasks(&slug("acme"), &self.product, &self.open, PLACE, going)
    }

    /// What Stripe's answer to a task makes of what is known.
    fn apply(&mut self, task: Task) {
        let stored = |plans: &mut Vec<StoredPlan>, plan: &str| {
            let plan = slug(plan);
            plans
                .iter()
                .position(|own| own.known.plan.id == plan)
                .unwrap()
        };
        match task {
            Task::CreateProduct { plan, name } => {
                let place = stored(&mut self.product.plans, &plan);
                self.product.plans[place].product = Some(ProductAtStripe {
                    link: link(ACCOUNT, format!("made_{plan}")),
                    name,
                    archived: false,
                });
            }
            Task::UpdateProduct {
                plan,
                id,
                name,
                active,
            } => {
                let place = stored(&mut self.product.plans, &plan);
                let product = self.product.plans[place].product.as_mut().unwrap();
                assert_eq!(product.link, link(ACCOUNT, id));
                product.name = name;
                product.archived = !active;
            }
            Task::CreatePrice {
                plan,
                revision,
                product,
                ..
            } => {
                let place = stored(&mut self.product.plans, &plan);
                let stored = &mut self.product.plans[place];
                assert_eq!(
                    stored.product.as_ref().unwrap().link,
                    link(ACCOUNT, product)
                );
                assert_eq!(stored.known.plan.revision, revision);
                let id = format!("made_{plan}_{revision}");
                stored.price = Some(PriceAtStripe {
                    link: link(ACCOUNT, id.clone()),
                    archived: false,
                });
                self.open.push(OpenPrice {
                    plan: slug(&plan),
                    revision,
                    price: id,
                });
            }
            Task::UpdatePrice {
                plan,
                revision,
                id,
                active,
            } => {
                let place = stored(&mut self.product.plans, &plan);
                let stored = &mut self.product.plans[place];
                if stored.known.plan.revision == revision
                    && let Some(price) = &mut stored.price
                {
                    price.archived = !active;
                }
                self.open.retain(|open| open.price != id);
                if active {
                    self.open.push(OpenPrice {
                        plan: slug(&plan),
                        revision,
                        price: id,
                    });
                }
            }
            Task::AdoptProduct { .. } | Task::AdoptPrice { .. } => {
                panic!("only after a refusal")
            }
        }
    }
}

proptest! {
    /// Doing the first task again and again comes to an end, and then Stripe has what the catalog
    /// offers and nothing else.
    #[test]
    fn one_task_after_another_ends_in_agreement(
        plans in proptest::collection::vec(known(), 0..6),
        state in 0..ProductState::ALL.len(),
        going in any::<bool>(),
    ) {
        let state = ProductState::ALL[state];
        let mut world = world(state, &plans);
        let mut done = 0;
        while let Some(task) = world.todo(going).into_iter().next() {
            world.apply(task);
            done += 1;
            prop_assert!(done <= plans.len() * 6, "it does not end");
        }
        for plan in &world.product.plans {
            let known = &plan.known;
            let wanted = !going
                && state.keeps_subscribers()
                && !known.withdrawn
                && known.plan.pricing.is_paid();
            let open: Vec<i64> = world
                .open
                .iter()
                .filter(|open| open.plan == known.plan.id)
                .map(|open| open.revision)
                .collect();
            let product = plan.product.as_ref().filter(|it| it.link.account == ACCOUNT);
            if wanted {
                prop_assert_eq!(open, vec![known.plan.revision]);
                let product = product.unwrap();
                prop_assert!(!product.archived);
                prop_assert_eq!(&product.name, &name_at_stripe(&world.product, plan));
                let price = plan.price.as_ref().unwrap();
                prop_assert!(price.link.account == ACCOUNT && !price.archived);
            } else {
                prop_assert!(open.is_empty());
                prop_assert!(product.is_none_or(|it| it.archived));
            }
        }
    }

    /// What has to be published comes before what may be left undone, so that a refusal of the
    /// latter keeps nothing off offer.
    #[test]
    fn publishing_comes_first(plans in proptest::collection::vec(known(), 0..6)) {
        let world = world(ProductState::Published, &plans);
        let todo = world.todo(false);
        let archiving: Vec<bool> = todo.iter().map(|task| task.archives().is_some()).collect();
        prop_assert!(archiving.is_sorted(), "{todo:?}");
    }

    /// Without credentials nothing is taken out of use, and what is published anywhere counts.
    #[test]
    fn without_a_place_only_what_is_missing_everywhere_is_told(
        plans in proptest::collection::vec(known(), 0..6),
    ) {
        let world = world(ProductState::Published, &plans);
        for task in tasks(&slug("acme"), &world.product, &[], None, false) {
            prop_assert!(task.archives().is_none());
            if let Task::CreateProduct { plan, .. } = task {
                let plan = slug(&plan);
                let stored = world.product.plans.iter().find(|own| own.known.plan.id == plan);
                prop_assert!(stored.unwrap().product.is_none());
            }
        }
    }
}

#[test]
fn names_at_stripe_are_one_for_each_thing() {
    let product = world(ProductState::Draft, &[]).product;
    let mut other = product.clone();
    "another".clone_into(&mut other.nonce);
    let (acme, theirs) = (slug("acme"), slug("theirs"));
    let all = [
        product_id(&acme, &product, "gold"),
        product_id(&acme, &product, "silver"),
        product_id(&theirs, &product, "gold"),
        product_id(&acme, &other, "gold"),
        lookup_key(&acme, &product, "gold", 1),
        lookup_key(&acme, &product, "gold", 2),
        lookup_key(&acme, &other, "gold", 1),
    ];
    for (place, name) in all.iter().enumerate() {
        assert_eq!(name.len(), 35, "{name}");
        assert!(!all[..place].contains(name), "{name}");
    }
    assert_eq!(product_id(&acme, &product, "gold"), all[0]);
}

#[test]
fn a_price_that_charges_anything_else_is_not_ours() {
    let seat = Pricing::PerSeat {
        price: UnitPrice {
            amount: UnitAmount::parse("0.003").unwrap(),
            currency: Currency::parse("usd").unwrap(),
        },
        terms: Terms {
            tax_behavior: TaxBehavior::Inclusive,
            ..terms()
        },
    };
    let found = json!({
        "id": "price_1",
        "active": true,
        "currency": "usd",
        "product": "pb_1",
        "unit_amount": null,
        "unit_amount_decimal": "0.003",
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
        "tax_behavior": "inclusive",
    });
    let ours = |found: &serde_json::Value, pricing: &Pricing, product: &str| {
        let price: Price = serde_json::from_value(found.clone()).unwrap();
        is_our_price(&price, pricing, product)
    };
    assert!(ours(&found, &seat, "pb_1"));
    assert!(!ours(&found, &seat, "pb_2"));
    assert!(!ours(&found, &flat(5), "pb_1"));
    assert!(!ours(&found, &Pricing::Free, "pb_1"));
    for (pointer, value) in [
        ("/currency", json!("eur")),
        ("/unit_amount_decimal", json!("0.03")),
        ("/unit_amount_decimal", json!(null)),
        ("/recurring/interval", json!("year")),
        ("/recurring/interval_count", json!(2)),
        ("/recurring/usage_type", json!("metered")),
        ("/recurring", json!(null)),
        ("/tax_behavior", json!("exclusive")),
        ("/product", json!(null)),
    ] {
        let mut other = found.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        assert!(!ours(&other, &seat, "pb_1"), "{pointer}");
    }
    let whole = json!({
        "id": "price_1",
        "currency": "usd",
        "product": "pb_1",
        "unit_amount": 5,
        "recurring": {"interval": "month", "interval_count": 1},
    });
    assert!(ours(&whole, &flat(5), "pb_1"));
    assert!(!ours(&whole, &flat(6), "pb_1"));
}
