//! C26, C27: the credentials are replaced while work is cut off, and the replacing is cut off itself.
//! Nothing is written to another account or mode than the one the work began in, and whichever
//! credentials are the current ones can be used.

use reqwest::Method;
use serde_json::{Value, json};

use super::cuts::{self, Cut, PLACES};
use super::invariants::{self, Wanted};
use super::score::Score;
use super::world::{Portal, World};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Answer;

on_both_databases!(
    work_never_goes_over_to_another_account_or_mode,
    credentials_that_are_cut_off_are_the_old_or_the_new_ones,
);

/// What replaces the credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Newer {
    /// Another key of the same account; the one before is revoked at Stripe.
    Key,
    /// Another account's.
    Account,
    /// Another account's, and the key before is revoked at Stripe.
    AccountAtOnce,
    /// The same account's in live mode.
    Mode,
}

const NEWER: [Newer; 4] = [
    Newer::Key,
    Newer::Account,
    Newer::AccountAtOnce,
    Newer::Mode,
];

impl Newer {
    const fn revokes(self) -> bool {
        matches!(self, Self::Key | Self::AccountAtOnce)
    }

    /// The secret and the publishable key, and their account.
    fn keys(self, portal: &Portal) -> ([String; 2], String) {
        let id = portal.name.replace('-', "");
        let mode = if self == Self::Mode { "live" } else { "test" };
        let account = match self {
            Self::Key | Self::Mode => portal.account.clone(),
            Self::Account | Self::AccountAtOnce => format!("acct_other{id}"),
        };
        let keys = ["sk", "pk"].map(|kind| format!("{kind}_{mode}_Newer{id}"));
        (keys, account)
    }

    /// Lets Stripe accept the newer keys, and the portal use them.
    async fn put(self, world: &World, portal: &Portal) -> Answer {
        let (keys, account) = self.keys(portal);
        for key in &keys {
            world.service.accept_key(key, &account, &[]).await;
        }
        let [secret, publishable] = keys;
        let body = json!({
            "secret_key": secret, "publishable_key": publishable, "confirm_account_change": true,
        });
        let path = portal.path("/modules/stripe/credentials");
        world.service.put(&path, body).await
    }
}

/// How many things there are at Stripe that work makes.
async fn made(world: &World, account: &str, live: bool) -> usize {
    let path = format!("/state?account={account}&livemode={live}");
    let state = world
        .service
        .simulator(Method::GET, &path, Value::Null)
        .await;
    let kinds = [
        "customer",
        "setup_intent",
        "subscription",
        "checkout.session",
    ];
    let count = |kind: &str| state["objects"][kind].as_array().map_or(0, Vec::len);
    kinds.iter().map(|kind| count(kind)).sum()
}

async fn case(world: &World, newer: Newer, cut: Cut) -> Vec<String> {
    let name = format!("{newer:?}-{}-{}", cut.place, cut.nth).to_lowercase();
    let portal = world.open_portal(&name).await;
    let customer = world.customer(&portal, "globex").await;
    let asked = world.saving(&portal, &customer, "the-case").await;
    cuts::arm(&customer, cut.clone());
    world.ask(&world.service.base_url, &asked, 1).await;
    let never = !cuts::disarm(&customer).is_empty();
    let columns = ["status"];
    let database = &world.service.database;
    let begun = invariants::rows(database, "operations", &columns, &portal).await;
    let put = newer.put(world, &portal).await;
    if newer.revokes() {
        let old = json!({"key": portal.secret_key});
        world
            .service
            .simulator(Method::POST, "/keys/revoke", old)
            .await;
    }
    let mut wrong = Vec::new();
    let is_bound = matches!(put.status.as_u16(), 409 | 422);
    if !put.status.is_success() && (newer == Newer::Key || !is_bound) {
        wrong.push(format!("C26: {} {}", put.status, put.text));
    }
    wrong.extend(
        world
            .come_to_rest(std::slice::from_ref(&portal))
            .await
            .err(),
    );
    let (_, account) = newer.keys(&portal);
    let elsewhere = async || match newer {
        Newer::Key => 0,
        Newer::Mode => made(world, &account, true).await,
        Newer::Account | Newer::AccountAtOnce => made(world, &account, false).await,
    };
    if elsewhere().await != 0 {
        wrong.push("C26: something was made elsewhere".to_owned());
    }
    // What was begun ends where it began; what was not would be begun with what is current now.
    if !begun.is_empty() {
        let answer = world
            .ask(&world.service.base_url, &asked, 20)
            .await
            .unwrap();
        let goes_on = newer == Newer::Key || !newer.revokes();
        if goes_on && answer.status != 201 {
            wrong.push(format!(
                "C26: asked again: {} {}",
                answer.status, answer.text
            ));
        }
        if elsewhere().await != 0 {
            wrong.push("C26: something was made elsewhere when asked again".to_owned());
        }
        if goes_on {
            let wanted = Wanted::customers(1);
            wrong.extend(invariants::check(world, &portal, wanted).await);
        }
    }
    if never && begun.is_empty() {
        wrong.push("nothing was begun".to_owned());
    }
    wrong
}

async fn work_never_goes_over_to_another_account_or_mode(engine: Database) {
    let world = World::start(engine).await;
    let mut score = Score::new("R1-rotated", engine);
    for newer in NEWER {
        for place in PLACES {
            for nth in [1, 2] {
                let cut = Cut { place, nth };
                for wrong in case(&world, newer, cut.clone()).await {
                    score.violation(format!("{newer:?} {cut:?}: {wrong}"));
                }
                score.count(1);
            }
        }
    }
    score.close(2 * NEWER.len() * PLACES.len());
}

/// Places of the replacing, and whether the newer ones are the current ones then.
const REPLACING: [(&str, bool); 3] = [
    ("credentials_verified", false),
    ("credentials_storing", false),
    ("credentials_stored", true),
];

/// The replacing of credentials is cut off; gives what is wrong.
async fn replacing(
    world: &World,
    newer: Newer,
    (place, is_stored): (&'static str, bool),
) -> Vec<String> {
    let name = format!("{newer:?}-{place}")
        .to_lowercase()
        .replace('_', "-");
    let portal = world.open_portal(&name).await;
    let path = portal.path("/modules/stripe/credentials");
    let endpoint = portal.path("/modules/stripe/webhook-endpoint");
    let service = &world.service;
    service.post(&endpoint, Value::Null).await.expect(201);
    cuts::arm(&portal.name, Cut { place, nth: 1 });
    let answer = newer.put(world, &portal).await;
    let mut wrong = Vec::new();
    if !cuts::disarm(&portal.name).is_empty() || answer.status.is_success() {
        wrong.push(format!("it was not cut off: {}", answer.text));
    }
    let (_, account) = newer.keys(&portal);
    let live = newer == Newer::Mode;
    let verified = async |account: &str, live: bool| {
        // The key of the current ones is opened, and Stripe accepts it.
        let answer = service.post(&format!("{path}/verify"), Value::Null).await;
        let found = answer.json();
        let good = answer.status == 200
            && found["stripe"] == json!({"account": account, "livemode": live})
            && found["verification"]["accepted"] == true;
        (!good).then(|| format!("C27: {account} is wanted: {found}"))
    };
    wrong.extend(if is_stored {
        verified(&account, live).await
    } else {
        verified(&portal.account, false).await
    });
    // Asked again, it is done; once.
    newer.put(world, &portal).await.expect(200);
    wrong.extend(verified(&account, live).await);
    let shown = service.get(&path).await.expect(200);
    if shown["versions"].as_array().map(Vec::len) != Some(2) {
        wrong.push(format!("C27: {shown}"));
    }
    // Stripe delivers once, and with a secret that is known here.
    let answer = service.post(&endpoint, Value::Null).await;
    let state = format!("/state?account={account}&livemode={live}");
    let state = service.simulator(Method::GET, &state, Value::Null).await;
    let endpoints = state["objects"]["webhook_endpoint"].as_array();
    if !answer.status.is_success() || endpoints.map(Vec::len) != Some(1) {
        wrong.push(format!("C27: {}, {endpoints:?}", answer.text));
    }
    wrong
}

async fn credentials_that_are_cut_off_are_the_old_or_the_new_ones(engine: Database) {
    let world = World::start(engine).await;
    let mut score = Score::new("R1-credentials", engine);
    for newer in [Newer::Key, Newer::Account, Newer::Mode] {
        for place in REPLACING {
            for wrong in replacing(&world, newer, place).await {
                score.violation(format!("{newer:?} {}: {wrong}", place.0));
            }
            score.count(1);
        }
    }
    score.close(3 * REPLACING.len());
}
