//! C21, C22, C23: the service is cut off while it takes what Stripe delivers, and while it works on what
//! it has stored. Nothing is acknowledged that is not stored, everything is applied once, and what cannot
//! be applied is told.

use reqwest::Method;
use serde_json::{Value, json};

use super::cuts::{self, Cut};
use super::front::Front;
use super::invariants::{self, Wanted};
use super::score::Score;
use super::world::{Asked, Portal, World, a_moment};
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    whatever_is_cut_off_each_event_is_applied_once,
    an_effect_that_fails_is_told_and_comes_with_the_next_attempt,
);

/// Places of a delivery, and whether the event is stored when it is cut off there.
const TAKING: [(&str, bool); 4] = [
    ("hook_verified", false),
    ("hook_stored", false),
    ("hook_applied", false),
    ("hook_taken", true),
];
/// Places of the work on what was stored and acknowledged, and not applied yet.
const WORKING: [&str; 2] = ["event_claimed", "event_read"];
/// Longer than one who has taken a stored event may work on it.
const CLAIM_SECONDS: i64 = 61;
const UPDATED: &str = "customer.subscription.updated";

/// A service behind an address that stays, and a Stripe that delivers there.
struct Hooked {
    world: World,
    front: Front,
}

/// A customer's subscription, here and at Stripe.
struct Subscribed {
    id: String,
    there: String,
    version: i64,
}

impl Hooked {
    async fn start(engine: Database) -> Self {
        let front = Front::start();
        let settings = [("server.public_url", front.url())];
        let settings = settings.each_ref().map(|(name, it)| (*name, it.as_str()));
        let world = World::start_with(engine, &settings).await;
        front.leads_to(&world.service.base_url);
        Self { world, front }
    }

    /// A portal that hears Stripe's events and sells a plan.
    async fn portal(&self, name: &str) -> Portal {
        let world = &self.world;
        let portal = world.open_portal(name).await;
        let published = World::publishing(&portal, "api");
        let published = world.ask(&world.service.base_url, &published, 30).await;
        published.unwrap().expect(201);
        world.hear_events(&portal).await;
        let retries = json!({"retry_seconds": vec![1; 50]});
        world.plan_events(&portal, retries).await;
        portal
    }

    /// A customer's subscription, of which Stripe has told all there is to tell.
    async fn subscribed(&self, portal: &Portal, name: &str) -> Subscribed {
        let world = &self.world;
        let customer = world.customer(portal, name).await;
        let body = json!({"customer": customer, "product": "api", "plan": "gold"});
        let path = portal.path("/subscriptions");
        let mut made = Value::Null;
        for asked in [
            world
                .saving(portal, &customer, &format!("save-{name}"))
                .await,
            Asked::post(path, format!("order-{name}"), body),
        ] {
            let answer = world.ask(&world.service.base_url, &asked, 30).await;
            made = answer.unwrap().expect(201);
        }
        world.settle_all(portal).await.unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut subscribed = Subscribed {
            id: text(&made["id"]),
            there: text(&made["stripe"]["subscription"]),
            version: 0,
        };
        subscribed.version = self.version(portal, &subscribed).await;
        subscribed
    }

    async fn version(&self, portal: &Portal, of: &Subscribed) -> i64 {
        let database = &self.world.service.database;
        let rows = invariants::rows(database, "subscriptions", &["id", "version"], portal).await;
        let row = rows.iter().find(|row| row["id"] == of.id.as_str());
        row.unwrap()["version"].as_i64().unwrap()
    }

    /// Somebody says in the dashboard whether the subscription ends with its period.
    async fn ends(&self, portal: &Portal, of: &Subscribed, ends: bool) {
        let path = format!("/v1/subscriptions/{}", of.there);
        let form = format!("cancel_at_period_end={ends}");
        self.world
            .at_dashboard(portal, Method::POST, &path, form)
            .await;
    }

    /// Waits until what is armed has happened and has ended the server; starts it again. Meanwhile
    /// Stripe has its answer, or has none.
    async fn restarted(&mut self, portal: &Portal) {
        while !cuts::are_done(&portal.name) {
            a_moment().await;
        }
        self.world.service.crashed().await;
        self.at_rest(portal).await;
        self.world.service.run().await;
        self.front.leads_to(&self.world.service.base_url);
    }

    async fn at_rest(&self, portal: &Portal) {
        let idle = format!("/webhooks/idle?account={}&timeout_ms=30000", portal.account);
        let idle = self
            .world
            .service
            .simulator(Method::GET, &idle, Value::Null)
            .await;
        assert_eq!(idle["idle"], true);
    }

    /// Whether Stripe's attempts to tell of changed subscriptions were acknowledged, oldest first.
    async fn acknowledged(&self, portal: &Portal) -> Vec<bool> {
        let path = format!("/webhooks?account={}", portal.account);
        let log = self
            .world
            .service
            .simulator(Method::GET, &path, Value::Null)
            .await;
        let attempts = log["attempts"].as_array().unwrap().iter();
        attempts
            .filter(|attempt| attempt["type"] == UPDATED)
            .map(|attempt| attempt["succeeded"].as_bool().unwrap())
            .collect()
    }

    /// What became of the stored events of changed subscriptions.
    async fn stored(&self, portal: &Portal) -> Vec<Value> {
        let database = &self.world.service.database;
        let columns = ["event_type", "status"];
        let rows = invariants::rows(database, "stripe_events", &columns, portal).await;
        let of_updates = rows.into_iter().filter(|row| row["event_type"] == UPDATED);
        of_updates.map(|mut row| row["status"].take()).collect()
    }

    /// What is wrong after all that, with so many further versions of the subscription.
    async fn wrong(&self, portal: &Portal, of: &Subscribed, further: i64) -> Vec<String> {
        let wanted = Wanted::customers(1).paid(1).plans(1);
        let mut wrong = invariants::check(&self.world, portal, wanted).await;
        let version = self.version(portal, of).await;
        if version != of.version + further {
            wrong.push(format!("I7: from version {} to {version}", of.version));
        }
        let path = portal.path("/reconciliations");
        let found = Asked::unkeyed(Method::POST, path, json!({"repair": false}));
        let base_url = &self.world.service.base_url;
        let found = self.world.ask(base_url, &found, 30).await.unwrap().json();
        if found["status"] != "done" || found["drift_count"] != 0 {
            wrong.push(format!("I3: {found}"));
        }
        wrong
    }
}

/// Cut off while an event is taken: it is not acknowledged, and comes again.
async fn taking(hooked: &mut Hooked, (place, is_stored): (&'static str, bool)) -> Vec<String> {
    let portal = hooked.portal(&place.replace('_', "-")).await;
    let subscribed = hooked.subscribed(&portal, "globex").await;
    let told = hooked.acknowledged(&portal).await.len();
    hooked.world.pass(&portal, 60).await;
    cuts::arm(&portal.name, Cut { place, nth: 1 });
    hooked.ends(&portal, &subscribed, true).await;
    hooked.restarted(&portal).await;
    let mut wrong = Vec::new();
    let acknowledged = hooked.acknowledged(&portal).await;
    if acknowledged.len() == told || acknowledged[told..].contains(&true) {
        wrong.push(format!("C21: acknowledged: {acknowledged:?}"));
    }
    let stored = hooked.stored(&portal).await;
    let version = hooked.version(&portal, &subscribed).await;
    if stored.len() != usize::from(is_stored)
        || version - subscribed.version != i64::from(is_stored)
    {
        wrong.push(format!("C21: stored: {stored:?}, now in version {version}"));
    }
    wrong.extend(hooked.world.settle_all(&portal).await.err());
    if hooked.stored(&portal).await != ["applied"] {
        wrong.push(format!("I7: {:?}", hooked.stored(&portal).await));
    }
    if hooked.acknowledged(&portal).await.last() != Some(&true) {
        wrong.push("it was never acknowledged".to_owned());
    }
    wrong.extend(hooked.wrong(&portal, &subscribed, 1).await);
    wrong
}

/// Cut off while what was acknowledged is worked on: nobody tells it again, and it is applied all the
/// same.
async fn working(hooked: &mut Hooked, place: &'static str) -> Vec<String> {
    let portal = hooked.portal(&place.replace('_', "-")).await;
    let subscribed = hooked.subscribed(&portal, "globex").await;
    hooked.world.pass(&portal, 60).await;
    // Of two changes in one second nobody knows which was the last: the second one is read at Stripe.
    let one_second = json!({"same_second": true});
    hooked.world.plan_events(&portal, one_second).await;
    hooked.ends(&portal, &subscribed, true).await;
    hooked.at_rest(&portal).await;
    let told = hooked.acknowledged(&portal).await.len();
    cuts::arm(&portal.name, Cut { place, nth: 1 });
    hooked.ends(&portal, &subscribed, false).await;
    hooked.restarted(&portal).await;
    let mut wrong = Vec::new();
    let acknowledged = hooked.acknowledged(&portal).await;
    if acknowledged[told..] != [true] {
        wrong.push(format!("C22: acknowledged: {:?}", &acknowledged[told..]));
    }
    let stored = hooked.stored(&portal).await;
    if !stored.iter().any(|status| status == "refetch") {
        wrong.push(format!("C22: stored: {stored:?}"));
    }
    hooked.world.pass(&portal, CLAIM_SECONDS).await;
    wrong.extend(hooked.world.settle_all(&portal).await.err());
    if hooked
        .stored(&portal)
        .await
        .iter()
        .any(|it| it != "applied")
    {
        wrong.push(format!("I7: {:?}", hooked.stored(&portal).await));
    }
    if hooked.acknowledged(&portal).await.len() != told + 1 {
        wrong.push("C22: it was told again".to_owned());
    }
    wrong.extend(hooked.wrong(&portal, &subscribed, 2).await);
    wrong
}

async fn whatever_is_cut_off_each_event_is_applied_once(engine: Database) {
    let mut hooked = Hooked::start(engine).await;
    let mut score = Score::new("R1-hooks", engine);
    for place in TAKING {
        for wrong in taking(&mut hooked, place).await {
            score.violation(format!("{}: {wrong}", place.0));
        }
        score.count(1);
    }
    for place in WORKING {
        for wrong in working(&mut hooked, place).await {
            score.violation(format!("{place}: {wrong}"));
        }
        score.count(1);
    }
    score.close(TAKING.len() + WORKING.len());
}

/// No change of this subscription is taken by the database.
async fn refuse(hooked: &Hooked, of: &Subscribed) {
    let database = &hooked.world.service.database;
    let sql = if database.file().is_some() {
        format!(
            "CREATE TRIGGER refusing BEFORE UPDATE ON subscriptions WHEN NEW.id = '{}' \
             BEGIN SELECT RAISE(ABORT, 'it does not fit'); END",
            of.id
        )
    } else {
        format!(
            "CREATE FUNCTION refusing() RETURNS trigger AS $$ BEGIN IF NEW.id = '{}' THEN \
             RAISE EXCEPTION 'it does not fit'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql; \
             CREATE TRIGGER refusing BEFORE UPDATE ON subscriptions FOR EACH ROW \
             EXECUTE FUNCTION refusing()",
            of.id
        )
    };
    database.execute(&sql).await;
}

async fn an_effect_that_fails_is_told_and_comes_with_the_next_attempt(engine: Database) {
    let mut hooked = Hooked::start(engine).await;
    let portal = hooked.portal("failing").await;
    let subscribed = hooked.subscribed(&portal, "globex").await;
    hooked.world.pass(&portal, 60).await;
    refuse(&hooked, &subscribed).await;
    // It fails, and the service goes before it has written that down: Stripe tells it again.
    let place = "hook_failed";
    cuts::arm(&portal.name, Cut { place, nth: 1 });
    hooked.ends(&portal, &subscribed, true).await;
    hooked.restarted(&portal).await;
    assert!(!hooked.acknowledged(&portal).await.contains(&true));
    assert!(hooked.stored(&portal).await.is_empty());
    hooked.world.settle_all(&portal).await.unwrap();
    assert_eq!(hooked.acknowledged(&portal).await.last(), Some(&true));
    assert_eq!(hooked.stored(&portal).await, ["dead"]);
    assert_eq!(
        hooked.version(&portal, &subscribed).await,
        subscribed.version
    );
    // Whoever watches sees it, also after another restart.
    hooked.world.service.stop();
    hooked.world.service.run().await;
    hooked.front.leads_to(&hooked.world.service.base_url);
    loop {
        let metrics = hooked.world.service.get("/metrics").await.text;
        if metrics.contains("stripe_events_dead 1") {
            break;
        }
        a_moment().await;
    }
    let on = match engine {
        Database::Lite => "",
        Database::Pg => " ON subscriptions",
    };
    let mended = format!("DROP TRIGGER refusing{on}");
    hooked.world.service.database.execute(&mended).await;
    let events = portal.path("/modules/stripe/events");
    let dead = hooked
        .world
        .service
        .get(&format!("{events}?status=dead"))
        .await;
    let dead = dead.expect(200)["data"][0]["id"].take();
    let retry = format!("{events}/{}/retry", dead.as_str().unwrap());
    let retried = hooked.world.service.post(&retry, json!({})).await;
    retried.expect(202);
    hooked.world.settle_all(&portal).await.unwrap();
    assert_eq!(hooked.stored(&portal).await, ["applied"]);
    assert_eq!(hooked.wrong(&portal, &subscribed, 1).await, [""; 0]);
}
