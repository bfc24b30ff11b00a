//! The invariants of never lost, never double, looked up in the database and at Stripe.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::world::{PRICE, Portal, World};
use crate::support::database::FreshDatabase;

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = diesel::sql_types::Text)]
    json: String,
}

/// These columns of a portal's rows.
pub(super) async fn rows(
    database: &FreshDatabase,
    table: &str,
    columns: &[&str],
    portal: &Portal,
) -> Vec<Value> {
    let pairs: Vec<String> = columns
        .iter()
        .map(|column| format!("'{column}', {column}"))
        .collect();
    let build = match database.file() {
        Some(_) => "json_object",
        None => "json_build_object",
    };
    let sql = format!(
        "SELECT CAST({build}({}) AS TEXT) AS json FROM {table} WHERE portal_id = '{}'",
        pairs.join(", "),
        portal.name
    );
    let rows: Vec<Row> = database.rows(&sql).await;
    rows.into_iter()
        .map(|row| serde_json::from_str(&row.json).unwrap())
        .collect()
}

/// What a portal must have come to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// Customers with a counterpart at Stripe.
    pub(super) customers: usize,
    /// Subscriptions at Stripe, ended ones included.
    pub(super) subscriptions: usize,
    /// Plans that were published.
    pub(super) plans: usize,
    /// Pages that are open and on which subscriptions wait.
    pub(super) pages: usize,
    /// All that was charged, in cents.
    pub(super) charged: i64,
}

impl Wanted {
    pub(super) fn customers(customers: usize) -> Self {
        Self {
            customers,
            ..Self::default()
        }
    }

    /// Subscriptions that were paid for once each.
    pub(super) fn paid(self, subscriptions: usize) -> Self {
        Self {
            subscriptions,
            charged: PRICE * i64::try_from(subscriptions).unwrap(),
            ..self
        }
    }

    /// Plans that were published.
    pub(super) fn plans(self, plans: usize) -> Self {
        Self { plans, ..self }
    }
}

/// One look at both sides.
struct Look<'a> {
    portal: &'a Portal,
    stripe: Value,
    objects: Vec<Value>,
    wrong: Vec<String>,
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Every invariant that holds at rest; what is wrong, in words.
pub(super) async fn check(world: &World, portal: &Portal, wanted: Wanted) -> Vec<String> {
    let database = &world.service.database;
    let columns = ["stripe_id", "kind", "local_id", "account_id"];
    let mut look = Look {
        portal,
        stripe: world.at_stripe(portal).await,
        objects: rows(database, "stripe_objects", &columns, portal).await,
        wrong: Vec::new(),
    };
    look.both_sides();
    look.one_of_each();
    look.counted(wanted);
    look.methods();
    let columns = ["id", "status", "kind", "step", "error"];
    for operation in rows(database, "operations", &columns, portal).await {
        if !matches!(text(&operation, "status"), "succeeded" | "failed") {
            look.wrong.push(format!("I12: {operation}"));
        }
    }
    let columns = ["subject", "seq"];
    let events = rows(database, "events", &columns, portal).await;
    let audit = rows(database, "audit_entries", &["subject", "action"], portal).await;
    look.gapless(&events);
    for table in [
        "customers",
        "payment_methods",
        "subscriptions",
        "invoices",
        "webhook_endpoints",
    ] {
        let things = rows(database, table, &["id", "version"], portal).await;
        look.told(table, &things, &events, &audit);
    }
    look.active(
        &rows(
            database,
            "subscriptions",
            &["id", "status", "paid", "stripe_id"],
            portal,
        )
        .await,
    );
    let columns = ["id", "status", "requested"];
    let waiting = rows(database, "subscriptions", &columns, portal).await;
    look.pages(&waiting, wanted.pages);
    look.in_order(&rows(database, "events", &["position"], portal).await);
    look.clear_text(database);
    look.wrong
}

impl Look<'_> {
    fn there(&self, kind: &str) -> Vec<Value> {
        self.stripe[kind].as_array().cloned().unwrap_or_default()
    }

    fn here(&self, kind: &str) -> BTreeSet<String> {
        let of_kind = self.objects.iter().filter(|object| object["kind"] == kind);
        of_kind
            .map(|object| text(object, "stripe_id").to_owned())
            .collect()
    }

    /// I3: nothing is at Stripe that is not here, and the other way round.
    fn both_sides(&mut self) {
        for kind in ["customer", "product", "price", "subscription"] {
            let there = self.there(kind);
            let there: BTreeSet<String> = there
                .iter()
                .map(|object| text(object, "id").to_owned())
                .collect();
            let here = self.here(kind);
            for orphan in there.difference(&here) {
                self.wrong.push(format!("I3: orphan {kind} {orphan}"));
            }
            for ghost in here.difference(&there) {
                self.wrong.push(format!("I3: ghost {kind} {ghost}"));
            }
        }
        let elsewhere = self
            .objects
            .iter()
            .filter(|object| object["account_id"] != self.portal.account.as_str());
        for object in elsewhere {
            self.wrong.push(format!("I9: {object}"));
        }
    }

    /// I1: one object per operation, one customer per organization.
    fn one_of_each(&mut self) {
        for (kind, name) in [
            ("customer", "operation"),
            ("customer", "portal_billing_customer"),
            ("subscription", "operation"),
            ("subscription", "portal_billing_subscription"),
        ] {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            for object in self.there(kind) {
                let id = text(&object["metadata"], name);
                if id.is_empty() {
                    self.wrong
                        .push(format!("I1: {kind} without {name}: {}", object["id"]));
                }
                *seen.entry(id.to_owned()).or_default() += 1;
            }
            for (id, times) in seen.iter().filter(|(_, times)| **times > 1) {
                self.wrong
                    .push(format!("I1: {times} × {kind} of {name} {id}"));
            }
        }
    }

    /// I5: what was charged is what there is.
    fn counted(&mut self, wanted: Wanted) {
        let charged = wanted.charged;
        for (kind, wanted) in [
            ("customer", wanted.customers),
            ("subscription", wanted.subscriptions),
            ("product", wanted.plans),
            ("price", wanted.plans),
        ] {
            let there = self.there(kind).len();
            if there != wanted {
                self.wrong
                    .push(format!("{there} × {kind}, {wanted} wanted"));
            }
        }
        let paid = |charge: &Value| charge["paid"] == true;
        let charges = self.there("charge");
        let sum: i64 = charges
            .iter()
            .filter(|charge| paid(charge))
            .map(|charge| charge["amount"].as_i64().unwrap())
            .sum();
        if sum != charged {
            self.wrong
                .push(format!("I5: {sum} was charged, {charged} wanted"));
        }
    }

    /// Each payment method that is known here is attached to its customer there, and no other is.
    fn methods(&mut self) {
        let here = self.here("payment_method");
        for method in self.there("payment_method") {
            let id = text(&method, "id");
            let attached = method["customer"].is_string();
            if attached && !here.contains(id) {
                self.wrong.push(format!("I3: orphan payment method {id}"));
            }
        }
    }

    /// I6: what is told of a thing is told once each, from the first on; also of one that is gone.
    fn gapless(&mut self, events: &[Value]) {
        let mut told: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for event in events {
            let seq = event["seq"].as_i64().unwrap();
            told.entry(text(event, "subject")).or_default().push(seq);
        }
        for (subject, mut told) in told {
            told.sort_unstable();
            if !told.iter().copied().eq((1..).take(told.len())) {
                self.wrong
                    .push(format!("I6: of {subject} are told {told:?}"));
            }
        }
    }

    /// I6 and I11: every version of a thing has exactly one event and one audit entry.
    fn told(&mut self, table: &str, things: &[Value], events: &[Value], audit: &[Value]) {
        for thing in things {
            let id = text(thing, "id");
            let version = thing["version"].as_i64().unwrap();
            let mut told: Vec<i64> = events
                .iter()
                .filter(|event| event["subject"] == id)
                .map(|event| event["seq"].as_i64().unwrap())
                .collect();
            told.sort_unstable();
            if told != (1..=version).collect::<Vec<_>>() {
                self.wrong.push(format!(
                    "I6: {table} {id} is at version {version}, told are {told:?}"
                ));
            }
            let entries = audit
                .iter()
                .filter(|entry| text(entry, "subject").ends_with(id))
                .count();
            if i64::try_from(entries).unwrap() < version {
                self.wrong.push(format!(
                    "I11: {table} {id} is at version {version} with {entries} audit entries"
                ));
            }
        }
    }

    /// I2: what is active here is active there.
    fn active(&mut self, subscriptions: &[Value]) {
        let there = self.there("subscription");
        for subscription in subscriptions {
            // SQLite has no booleans of its own.
            let paid = subscription["paid"] == true || subscription["paid"] == 1;
            if subscription["status"] != "active" || !paid {
                continue;
            }
            let found = there
                .iter()
                .find(|it| it["id"] == subscription["stripe_id"]);
            if found.is_none_or(|it| it["status"] != "active") {
                self.wrong
                    .push(format!("I2: {subscription} is {found:?} at Stripe"));
            }
        }
    }

    /// Each page that is open at Stripe is one on which a subscription here waits, and the other way round.
    fn pages(&mut self, subscriptions: &[Value], wanted: usize) {
        let sessions = self.there("checkout.session");
        let there: BTreeSet<String> = sessions
            .iter()
            .filter(|page| page["status"] == "open" && page["mode"] == "subscription")
            .map(|page| text(page, "id").to_owned())
            .collect();
        let waiting = subscriptions
            .iter()
            .filter(|it| it["status"] == "incomplete");
        let here: BTreeSet<String> = waiting
            .filter_map(|it| {
                let requested: Value = serde_json::from_str(it["requested"].as_str()?).unwrap();
                Some(requested["checkout"].as_str()?.to_owned())
            })
            .collect();
        if there != here || here.len() != wanted {
            self.wrong.push(format!(
                "I3: {wanted} pages are wanted, open at Stripe are {there:?}, waited for {here:?}"
            ));
        }
    }

    /// The feed has no gap.
    fn in_order(&mut self, events: &[Value]) {
        let mut positions: Vec<i64> = events
            .iter()
            .map(|event| event["position"].as_i64().unwrap())
            .collect();
        positions.sort_unstable();
        let gapless = (1..).take(positions.len());
        if !positions.iter().copied().eq(gapless) {
            self.wrong
                .push(format!("I6: the feed has gaps: {positions:?}"));
        }
    }

    /// I10: the key is nowhere in the clear.
    fn clear_text(&mut self, database: &FreshDatabase) {
        let Some(file) = database.file() else { return };
        for name in [file.to_owned(), format!("{file}-wal")] {
            let bytes = std::fs::read(&name).unwrap_or_default();
            let key = self.portal.secret_key.as_bytes();
            if bytes.windows(key.len()).any(|window| window == key) {
                self.wrong.push(format!("I10: the key is in {name}"));
            }
        }
    }
}
